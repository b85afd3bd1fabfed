"""The Python language host under the real engine, on programs without any resource of a cluster."""

import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc

from infra.plugins.language_host import LanguageHost
from tests.infra.plugins.pulumi_cli import Engine

pytestmark = pytest.mark.apiserver  # not the server, but the built engine


def test_a_program_runs_and_its_output_is_streamed(engine: Engine) -> None:
    engine.program(
        """
        import sys
        import pulumi
        print("to stdout")
        print("to stderr", file=sys.stderr)
        pulumi.export("stack", pulumi.get_stack())
        pulumi.export("project", pulumi.get_project())
        pulumi.export("organization", pulumi.get_organization())
        """
    )
    result = engine.up()

    assert "to stdout" in result.output
    assert "to stderr" in result.output
    outputs = engine.resource("trial-test")["outputs"]
    assert outputs == {"stack": "test", "project": "trial", "organization": "organization"}


def test_a_preview_tells_the_program_that_it_is_one(engine: Engine) -> None:
    engine.program("import pulumi; print('dry run:', pulumi.runtime.is_dry_run())")

    assert "dry run: True" in engine.preview().output
    assert "dry run: False" in engine.up().output


def test_an_exception_is_shown_with_its_line_and_fails_the_command(engine: Engine) -> None:
    engine.program("number = 1\nraise ValueError(f'no such number: {number}')\n")
    result = engine.up(check=False)

    assert result.code != 0
    assert "Program failed with an unhandled exception" in result.output
    assert "__main__.py" in result.output
    assert "ValueError: no such number: 1" in result.output
    # Said once: the host adds no error of its own to one that was shown (exit code 32).
    assert "non-zero exit code" not in result.output


def test_an_error_meant_for_the_person_is_shown_without_a_traceback(engine: Engine) -> None:
    engine.program("import pulumi; raise pulumi.RunError('set modelyard:gpu.count to 8')")
    result = engine.up(check=False)

    assert result.code != 0
    assert "set modelyard:gpu.count to 8" in result.output
    assert "Traceback" not in result.output


def test_a_program_that_ends_itself_fails_with_its_code(engine: Engine) -> None:
    engine.program("import os; os._exit(7)")
    result = engine.up(check=False)

    assert result.code != 0
    assert "Program exited with non-zero exit code: 7" in result.output


def test_configuration_and_secrets_reach_the_program(engine: Engine) -> None:
    engine.command("config", "set", "color", "red", check=True)
    engine.command("config", "set", "--secret", "token", "hunter2", check=True)
    engine.program(
        """
        import pulumi
        config = pulumi.Config()
        pulumi.export("color", config.require("color"))
        pulumi.export("token", config.require_secret("token"))
        pulumi.export("length", len(config.require("token")))
        """
    )
    engine.up()

    outputs = engine.resource("trial-test")["outputs"]
    assert outputs["color"] == "red"
    assert outputs["length"] == 7
    assert "hunter2" not in engine.state_file.read_text()


def test_the_projects_virtual_environment_is_the_one_that_runs(
    engine: Engine, tmp_path: Path
) -> None:
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    other = tmp_path / "other"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", other], check=True)
    found = next(other.glob("lib/python*/site-packages"))
    (found / "modelyard.pth").write_text(f"{packages}\n")
    engine.project(virtualenv="../other")
    engine.program("import sys, pulumi; print('prefix:', sys.prefix)")

    assert f"prefix: {other}" in engine.up().output


def test_a_missing_virtual_environment_is_named_with_the_remedy(engine: Engine) -> None:
    engine.program("")
    engine.project(virtualenv="not-there")
    result = engine.up(check=False)

    assert result.code != 0
    assert "not-there/bin/python does not exist" in result.output
    assert "make setup" in result.output


def test_ctrl_c_ends_the_program_quietly(engine: Engine, tmp_path: Path) -> None:
    engine.program(
        f"""
        import time, pathlib
        pathlib.Path({str(tmp_path / "running")!r}).touch()
        time.sleep(300)
        """
    )
    running = engine.start("preview")
    end = time.monotonic() + 60
    while not (tmp_path / "running").exists():
        assert time.monotonic() < end, "the program did not start"
        time.sleep(0.05)

    output = running.interrupt()

    assert running.process.returncode != 0
    assert "KeyboardInterrupt" not in output
    assert "Traceback" not in output


def plugin(folder: Path, text: str, kind: str) -> list[language_pb2.RunPluginResponse]:
    """Let a host run a plugin, as the engine does; returns what it streams."""
    folder.mkdir()
    (folder / "__main__.py").write_text(text)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    host = LanguageHost("127.0.0.1:1", Path("unused"))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            request = language_pb2.RunPluginRequest(
                pwd=str(folder),
                args=["engine:1"],
                env=["COLOR=red"],
                kind=kind,
                info=language_pb2.ProgramInfo(
                    root_directory=str(folder),
                    program_directory=str(folder),
                    entry_point=".",
                    options=struct_pb2.Struct(),
                ),
            )
            return list(language_pb2_grpc.LanguageRuntimeStub(channel).RunPlugin(request))
    finally:
        server.stop(grace=None)


def test_a_plugin_gets_arguments_and_environment_and_its_output_and_code_come_back(
    tmp_path: Path,
) -> None:
    text = (
        "import os, sys\n"
        "print('args', sys.argv[1:], os.environ['COLOR'])\n"
        "print('trouble', file=sys.stderr)\n"
        "sys.exit(5)\n"
    )
    said = plugin(tmp_path / "plugin", text, "resource")

    assert [entry.stdout for entry in said if entry.stdout] == [b"args ['engine:1'] red\n"]
    assert [entry.stderr for entry in said if entry.stderr] == [b"trouble\n"]
    assert said[-1].WhichOneof("output") == "exitcode"
    assert said[-1].exitcode == 5


def test_a_policy_pack_is_run_by_pulumis_policy_module(tmp_path: Path) -> None:
    # The module hands over to the pack, which here only says that it was reached.
    text = "import sys; print('pack reached', sys.argv[0])\n"
    said = plugin(tmp_path / "pack", text, "analyzer")

    output = b"".join(entry.stdout + entry.stderr for entry in said)
    assert b"pack reached" in output
    assert said[-1].exitcode == 0


def test_started_by_hand_it_explains_itself(installed: dict[str, str]) -> None:
    host = Path(installed["PATH"].partition(":")[0]) / "pulumi-language-python"
    done = subprocess.run([host], capture_output=True, text=True, stdin=subprocess.DEVNULL)

    assert done.returncode == 1
    assert "This is a plugin: Pulumi's engine starts it" in done.stderr
