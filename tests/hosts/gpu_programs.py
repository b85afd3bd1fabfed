"""Programs of NVIDIA's that a simulated GPU machine has: nvidia-smi, and the container toolkit."""

from pathlib import Path

from tests.hosts import packages
from tests.hosts.gpus import THERE

SMI = f"{THERE}/nvidia-smi"
STATE = "/var/lib/simulated"
"""Folder of the machine in which they remember what was done."""
# Keeps in files whether MIG is on and which parts there are, and refuses as the driver does.
NVIDIA_SMI = f"""#!/bin/sh
# Simulated: one A100.
mkdir -p {STATE}; cd {STATE}; touch parts
case "$*" in
*query-gpu=index,mig*) echo "0, $(cat mode 2>/dev/null || echo Disabled)" ;;
*query-gpu=pci*) echo "00000000:3B:00.0, $(cat errors 2>/dev/null || echo 0), No" ;;
*query-remapped*) echo "00000000:3B:00.0, No, No" ;;
-L) echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-simulated)"
    while read -r part; do echo "  MIG $part     Device  0: (UUID: MIG-simulated)"; done < parts ;;
"-i 0 -mig 1") echo Enabled > mode ;;
"-i 0 -mig 0") [ ! -s parts ] || exit 19; echo Disabled > mode ;;
*-dci|*-dgi) : > parts ;;
"mig -i 0 -cgi "*) [ "$(cat mode)" = Enabled ] || exit 3; echo "$5" | tr , '\\n' > parts ;;
*) exit 2 ;;
esac
"""
CTK = """#!/bin/sh
# Simulated.
file=/etc/nvidia-container-runtime/config.toml
case "$*" in
config) cat $file ;;
"config --in-place --set nvidia-container-runtime.mode=cdi")
    sed -i 's/mode = .*/mode = "cdi"/' $file ;;
"cdi list") echo nvidia.com/gpu=all ;;
"cdi generate") echo generated >> /var/lib/simulated-cdi ;;
*) exit 2 ;;
esac
"""
REFRESH = (
    "[Service]\nType=oneshot\nExecCondition=/bin/false\nRemainAfterExit=yes\n"
    "ExecStart=/usr/bin/nvidia-ctk cdi generate\n[Install]\nWantedBy=multi-user.target\n"
)
WATCH = "[Path]\nPathChanged=/usr/bin/nvidia-ctk\n[Install]\nWantedBy=multi-user.target\n"


def toolkit(folder: Path) -> None:
    """A signed archive with two versions of a simulated toolkit in it."""
    units = "lib/systemd/system/nvidia-cdi-refresh"
    files = {
        "usr/bin/nvidia-ctk": CTK,
        "etc/nvidia-container-runtime/config.toml": '[nvidia-container-runtime]\nmode = "auto"\n',
        f"{units}.service": REFRESH,
        f"{units}.path": WATCH,
    }
    folder.mkdir()
    made = [
        packages.package(folder, "nvidia-container-toolkit", f"{version}-1~simulated", files)
        for version in ("1.18.1", "1.19.0")
    ]
    packages.archive(folder, folder.parent / "archive.asc", *made)
