"""Import image archives into containerd's namespace k8s.io, and keep them there."""

import json
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: containerd_images
short_description: import image archives into containerd and pin them
description:
  - Imports an OCI archive unless the image is there under its tag and under its digest, both with
    exactly that digest. A pinned image is never removed by the kubelet.
options:
  images:
    description: Images, each with reference, digest and archive (path of an OCI archive).
    type: list
    elements: dict
    required: true
  folder:
    description: Folder of the host with the archives; without it archive is a path there.
    type: path
"""
CTR = ["/usr/local/bin/ctr", "--namespace", "k8s.io"]
PINNED = "io.cri-containerd.pinned=pinned"


def main() -> None:
    """Compare, and import what is missing."""
    module = AnsibleModule(
        argument_spec={
            "images": {"type": "list", "elements": "dict", "required": True},
            "folder": {"type": "path"},
        },
        supports_check_mode=True,
    )
    rows = _listed(module)
    missing = [image for image in module.params["images"] if not present(image, rows)]
    names = sorted(image["reference"] for image in missing)
    if not module.check_mode:
        for image in missing:
            load(module, image)
    diff = {"before": "", "after": "".join(f"{name}\n" for name in names)}
    module.exit_json(changed=bool(missing), imported=names, diff=diff)


def _listed(module: AnsibleModule) -> str:
    """What ctr lists; nothing in a rehearsal that comes before containerd's installation."""
    if module.check_mode and not Path(CTR[0]).exists():
        return ""
    listed = subprocess.run([*CTR, "images", "list"], capture_output=True, text=True)
    if listed.returncode:
        if module.check_mode:
            module.exit_json(skipped=True, msg="containerd does not run: its images are not known")
        module.fail_json(msg=f"containerd does not list its images: {listed.stderr.strip()}")
    return listed.stdout


def present(image: dict[str, str], listed: str) -> bool:
    """Whether tag and digest reference both stand in ctr's list, with the digest and the pin."""
    repository = image["reference"].rsplit(":", 1)[0]
    rows = {row.split()[0]: row for row in listed.splitlines()[1:]}
    wanted = [image["reference"], f"{repository}@{image['digest']}"]
    return all(image["digest"] in rows.get(name, "") and PINNED in rows[name] for name in wanted)


def load(module: AnsibleModule, image: dict[str, str]) -> None:
    """Import one archive under its tag and its digest."""
    repository = image["reference"].rsplit(":", 1)[0]
    archive = image["archive"]
    if folder := module.params["folder"]:
        archive = str(Path(folder) / (image["name"].replace("/", "-") + ".tar"))
    command = [*CTR, "images", "import", "--local", "--digests", "--base-name", repository]
    command += ["--label", PINNED, archive]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        module.fail_json(msg=f"{' '.join(command)} failed: {done.stderr.strip()}")
    listed = subprocess.run([*CTR, "images", "list"], capture_output=True, text=True, check=True)
    if not present(image, listed.stdout):
        said = json.dumps(done.stdout)
        module.fail_json(
            msg=f"{archive} did not yield {image['reference']} with {image['digest']}: {said}. "
            "Delete the archive's folder in the cache and run `yard up` again."
        )


if __name__ == "__main__":
    main()
