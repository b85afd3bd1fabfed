"""A small signed archive of Debian packages, made by a test for what no archive in reach has."""

import hashlib
import subprocess
from pathlib import Path


def package(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """A package with these files; one that begins with #! may be run."""
    tree = folder / f"{name}-{version}-tree"
    for path, content in files.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o755 if content.startswith("#!") else 0o644)
    control = tree / "DEBIAN" / "control"
    control.parent.mkdir()
    control.write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: tests <tests@example.com>\nDescription: simulated, made by a test\n"
    )
    target = folder / f"{name}_{version}_all.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(target)]
    subprocess.run(command, check=True, capture_output=True)
    return target


def archive(folder: Path, key: Path, *packages: Path) -> None:
    """Indices over packages in ``folder``; ``key`` gets the public key that proves them."""
    home = folder.parent / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback"]
    owner = "tests@example.com"
    unlocked = ["--passphrase", ""]
    subprocess.run([*gpg, *unlocked, "--quick-generate-key", owner], check=True)
    exported = subprocess.run([*gpg, "--armor", "--export", owner], check=True, capture_output=True)
    key.write_bytes(exported.stdout)
    index = "\n".join(_entry(path) for path in packages)
    (folder / "Packages").write_text(index)
    digest = hashlib.sha256(index.encode()).hexdigest()
    release = folder / "Release"
    release.write_text(
        "Origin: tests\nSuite: ./\nDate: Sat, 21 Nov 2026 00:00:00 UTC\n"
        f"SHA256:\n {digest} {len(index)} Packages\n"
    )
    signed = folder / "InRelease"
    subprocess.run([*gpg, *unlocked, "--clearsign", "--output", signed, release], check=True)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=True)


def _entry(path: Path) -> str:
    control = subprocess.run(["dpkg-deb", "--field", path], check=True, capture_output=True)
    raw = path.read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    place = f"Filename: ./{path.name}\nSize: {len(raw)}\nSHA256: {digest}\n"
    return control.stdout.decode().strip() + "\n" + place
