"""The Python language host for Pulumi's engine, where the vendor's is not to be had.

It runs programs with the `pulumi` package's own executor (`pulumi-language-python-exec`, a file of
the engine's source), policy packs and other plugins written in Python. It installs nothing: the
virtual environment named by ``runtime.options.virtualenv`` must exist.
"""

# ruff: noqa: ARG002, N802 - names and signatures are the protocol's

import json
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import IO, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2

from infra.plugins import serving

# The executor's code for "an error message was shown already".
BAIL = 32


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Pulumi's LanguageRuntime for Python programs in an existing virtual environment."""

    def __init__(self, engine: str, executor: Path) -> None:
        self._engine = engine
        self._executor = executor
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()

    def Handshake(
        self,
        request: language_pb2.LanguageHandshakeRequest,
        context: grpc.ServicerContext,
    ) -> language_pb2.LanguageHandshakeResponse:
        """Take over the engine's address."""
        self._engine = request.engine_address or self._engine
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(
        self, request: empty_pb2.Empty, context: grpc.ServicerContext
    ) -> plugin_pb2.PluginInfo:
        """The version of the `pulumi` package that this host was made for."""
        return plugin_pb2.PluginInfo(version=metadata.version("pulumi"))

    def GetRequiredPackages(
        self, request: language_pb2.GetRequiredPackagesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPackagesResponse:
        """None ahead of time: resources name their plugin's version when they register."""
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(
        self, request: language_pb2.GetRequiredPluginsRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetRequiredPluginsResponse:
        """None ahead of time, as above."""
        return language_pb2.GetRequiredPluginsResponse()

    def GetProgramDependencies(
        self, request: language_pb2.GetProgramDependenciesRequest, context: grpc.ServicerContext
    ) -> language_pb2.GetProgramDependenciesResponse:
        """List the installed distributions of this host's environment, for `pulumi about`."""
        found = {item.name: item.version for item in metadata.distributions()}
        return language_pb2.GetProgramDependenciesResponse(
            dependencies=[
                language_pb2.DependencyInfo(name=name, version=version)
                for name, version in sorted(found.items())
            ]
        )

    def RuntimeOptionsPrompts(
        self, request: language_pb2.RuntimeOptionsRequest, context: grpc.ServicerContext
    ) -> language_pb2.RuntimeOptionsResponse:
        """No questions for `pulumi new`."""
        return language_pb2.RuntimeOptionsResponse()

    def About(
        self, request: language_pb2.AboutRequest, context: grpc.ServicerContext
    ) -> language_pb2.AboutResponse:
        """Say which interpreter runs programs, and that this is a stand-in."""
        return language_pb2.AboutResponse(
            executable=sys.executable,
            version=platform.python_version(),
            metadata={"languageHost": "modelyard stand-in"},
        )

    def InstallDependencies(
        self, request: language_pb2.InstallDependenciesRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.InstallDependenciesResponse]:
        """Install nothing; refuse when the environment that the project names is missing."""
        _interpreter(request.info, context)
        yield language_pb2.InstallDependenciesResponse(
            stdout=b"The virtual environment exists; this language host installs nothing.\n"
        )

    def Run(
        self, request: language_pb2.RunRequest, context: grpc.ServicerContext
    ) -> language_pb2.RunResponse:
        """Run a program to its end; its output goes to the engine line by line."""
        interpreter = _interpreter(request.info, context)
        command = [
            str(interpreter),
            "-u",
            str(self._executor),
            *("--monitor", request.monitor_address),
            *("--engine", self._engine),
            *("--project", request.project),
            *("--stack", request.stack),
            *("--pwd", request.pwd),
            *("--root_directory", request.info.root_directory or request.pwd),
            *("--organization", request.organization),
            *("--parallel", str(request.parallel)),
        ]
        if request.dryRun:
            command += ["--dry_run", "true"]
        command += [request.info.entry_point or request.program or ".", *request.args]
        environment = os.environ | {
            # In the environment, not in argv: configuration may hold secrets.
            "PULUMI_CONFIG": json.dumps(dict(request.config)),
            "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
            "VIRTUAL_ENV": str(interpreter.parent.parent),
        }
        # A process group of its own: Ctrl-C is the engine's to handle, and Python's traceback of a
        # KeyboardInterrupt would be noise. Cancel and stop() end it.
        process = subprocess.Popen(
            command,
            cwd=request.pwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            process_group=0,
        )
        with self._tracked(process):
            code = process.wait()
        if code == 0:
            return language_pb2.RunResponse()
        if code == BAIL:
            return language_pb2.RunResponse(bail=True)
        if code < 0:
            return language_pb2.RunResponse(error=f"Program was ended by signal {-code}.")
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}")

    def RunPlugin(
        self, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
    ) -> Iterator[language_pb2.RunPluginResponse]:
        """Run a plugin in Python, as a policy pack; stream its output, then its exit code."""
        interpreter = _interpreter(request.info, context)
        folder = request.info.program_directory or request.pwd
        program = str(Path(folder) / (request.info.entry_point or request.program or "."))
        command = [str(interpreter), "-u"]
        if request.kind == "analyzer":
            command += ["-m", "pulumi.policy", *request.args, program]
        else:
            command += [program, *request.args]
        environment = os.environ | dict(item.split("=", 1) for item in request.env if "=" in item)
        environment["VIRTUAL_ENV"] = str(interpreter.parent.parent)
        process = subprocess.Popen(
            command,
            cwd=request.pwd or folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        context.add_callback(lambda: _end(process))
        with self._tracked(process):
            yield from _output(process)
            yield language_pb2.RunPluginResponse(exitcode=process.wait())

    def Cancel(self, request: empty_pb2.Empty, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Ask everything that runs to stop."""
        self.stop()
        return empty_pb2.Empty()

    def stop(self) -> None:
        """Terminate every child that still runs."""
        with self._lock:
            running = list(self._running)
        for process in running:
            _end(process)

    def _tracked(self, process: subprocess.Popen[bytes]) -> "_Tracked":
        return _Tracked(process, self._running, self._lock)


class _Tracked:
    """Keeps a child known to Cancel for as long as it runs."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        running: set[subprocess.Popen[bytes]],
        lock: threading.Lock,
    ) -> None:
        self._process, self._running, self._lock = process, running, lock

    def __enter__(self) -> None:
        with self._lock:
            self._running.add(self._process)

    def __exit__(self, *_error: object) -> None:
        with self._lock:
            self._running.discard(self._process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()


def _output(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    """Lines of both streams as they come, until both are closed."""
    lines: SimpleQueue[language_pb2.RunPluginResponse | None] = SimpleQueue()

    def read(stream: IO[bytes], field: str) -> None:
        with stream:
            for line in stream:
                if field == "stdout":
                    lines.put(language_pb2.RunPluginResponse(stdout=line))
                else:
                    lines.put(language_pb2.RunPluginResponse(stderr=line))
        lines.put(None)

    for stream, field in ((process.stdout, "stdout"), (process.stderr, "stderr")):
        assert stream is not None
        threading.Thread(target=read, args=(stream, field), daemon=True).start()
    open_streams = 2
    while open_streams:
        line = lines.get()
        if line is None:
            open_streams -= 1
        else:
            yield line


def _interpreter(info: language_pb2.ProgramInfo, context: grpc.ServicerContext) -> Path:
    """The interpreter that a project asks for: of options.virtualenv, else the one of this host."""
    options = dict(info.options)
    virtualenv = options.get("virtualenv")
    if not virtualenv:
        return Path(sys.executable)
    folder = Path(info.root_directory) / str(virtualenv)
    interpreter = folder / "bin" / "python"
    if not interpreter.exists():
        context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"runtime.options.virtualenv is {virtualenv!r}, but {interpreter} does not exist. "
            "Run `make setup` in the repository, which makes the virtual environment.",
        )
    return interpreter


def main(executor: Path) -> NoReturn:
    """Serve the engine whose address is the last argument of the command line."""
    host = LanguageHost(serving.engine_address(sys.argv[1:]), executor)
    serving.serve(
        lambda server: language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server),
        at_exit=host.stop,
    )
