"""faretap config: check, sign, push and compare the operator's configuration."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faretap.cli.common import Json, Port, Serial, app, err, out, print_json, print_text, say
from faretap.cli.keys import PassphraseFile, passphrase
from faretap.reading import BUNDLE, open_to_others, read_bytes
from faretap.writing import make_folder, write_all, write_text

if TYPE_CHECKING:
    from faretap.config.errors import ConfigError
    from faretap.session import Session

# pydantic and cryptography are imported where they are used: they cost other commands 0.3 s.

config = typer.Typer(help="The operator's configuration.", no_args_is_help=True)
app.add_typer(config, name="config")

_RESTART_S = 15.0  # from a configuration in force to the validator's hello

File = Annotated[Path, typer.Argument(help="A configuration in TOML.")]
What = Annotated[str, typer.Argument(help="A TOML file, a bundle, or a port.")]
AnyPort = Annotated[
    str | None, typer.Option("--port", "-p", envvar="FARETAP_PORT", help="A validator.")
]

_LONG = 72  # characters of a value that `diff` shows
_MANY = 100  # problems that are listed


@config.command()
def check(
    file: File,
    vehicles: Annotated[Path | None, typer.Option(help="A CSV with one row a vehicle.")] = None,
    json: Json = False,
) -> None:
    """Find everything that is wrong with a configuration."""
    from faretap.config import fleet, source
    from faretap.config.bundle import SMALLEST_ROOM, body_text
    from faretap.config.errors import ConfigError

    try:
        base = source.load(file) if vehicles is None else source.read(file)
        sources = (
            [base] if vehicles is None else [v.source for v in fleet.vehicles(base, vehicles)]
        )
        bodies = [each.body() for each in sources]
        _warn(file, base.raw)
    except ConfigError as e:
        if json:
            print_json({"file": str(file), "problems": list(e.problems or (e.cause,))})
            raise typer.Exit(1) from e
        _list_problems(e)
        raise
    size = max(len(body_text(body)) for body in bodies)
    if json:
        print_json({"file": str(file), "problems": [], "bundles": len(bodies), "size": size})
        return
    many = f", for {len(bodies)} vehicles" if vehicles else ""
    out.print(
        f"{file}: version {bodies[0]['version']}, {bodies[0]['life_cycle']}, "
        f"{size:,} of {SMALLEST_ROOM:,} bytes{many}: right.",
        highlight=False,
    )


def _warn(path: Path, configuration: dict[str, Any]) -> None:
    """Say that others may read a file with secrets in it."""
    purse = configuration.get("purse")
    soft = isinstance(purse, dict) and purse.get("soft_psam")
    if (configuration.get("token_key") or soft) and open_to_others(path):
        say(f"warning: {path} has a secret key in it, and others may read it: chmod 600 {path}")


def _list_problems(e: ConfigError) -> None:
    if len(e.problems) > 1:
        for problem in e.problems[:_MANY]:
            err.print(f"  {problem}", highlight=False, markup=False, soft_wrap=True)
        if len(e.problems) > _MANY:
            err.print(f"  … and {len(e.problems) - _MANY} more", highlight=False)
        e.args = (e.summary,)


@config.command()
def show(
    what: Annotated[str | None, typer.Argument(help="A TOML file, a bundle, or a port.")] = None,
    port: AnyPort = None,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Show a file, a bundle, or what a validator runs. Secrets are left out."""
    from faretap.config import toml
    from faretap.config.diff import without_secrets
    from faretap.config.errors import ConfigError

    subject = what or port
    if subject is None:
        raise ConfigError("There is nothing to show.", "Name a file, or a validator by --port.")
    facts, body = _read(subject)
    body = without_secrets(body)
    if json:
        print_json({**facts, "configuration": body})
        return
    for name, value in facts.items():
        if name != "faults":
            out.print(f"# {name}: {value}", highlight=False, markup=False)
    for fault in facts.get("faults", ()):
        out.print(f"# fault: {fault}", highlight=False, markup=False)
    print_text(toml.dump(body))


@config.command()
def diff(old: What, new: What, json: Json = False) -> None:
    """Show what differs between two files, bundles or validators."""
    from faretap.config.diff import differences

    (old_facts, before), (new_facts, after) = _read(old), _read(new)
    found = differences(before, after)
    keys = [facts.get("token_key") for facts in (old_facts, new_facts)]
    # A validator does not give its token key out, only what tells two keys apart.
    found = [d for d in found if d.path != "token_key"]
    other_key = keys[0] != keys[1]
    if json:
        rows = [{"path": d.path, "old": d.old, "new": d.new} for d in found]
        if other_key:
            rows.append({"path": "token_key", "old": keys[0], "new": keys[1]})
        print_json(rows)
        return
    for d in found:
        for sign, value in (("-", d.old), ("+", d.new)):
            if value is not None:
                text = str(value) if len(str(value)) <= _LONG else f"{str(value)[:_LONG]}…"
                line = f"{sign} {d.path} = {text}"
                out.print(line, highlight=False, markup=False, soft_wrap=True)
    if other_key:
        out.print("token_key differs", highlight=False)
    if not found and not other_key:
        out.print("the same", highlight=False)


def _read(subject: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(facts about it, the configuration) of a file, a bundle or the validator at a port."""
    import hashlib

    from faretap.config import bundle, push, source
    from faretap.config.errors import ConfigError
    from faretap.session import connect

    path = Path(subject)
    if _is_port(path):
        if path.suffix in (".toml", ".ftc"):
            raise ConfigError(f"{path} does not exist.")
        with connect(subject) as validator:
            facts = push.info(validator.link)
            body = push.pull(validator.link)
        return facts, body
    data = read_bytes(path, BUNDLE, ConfigError)
    if bundle.is_bundle(data):
        read = bundle.read(data, str(path))
        facts = {"version": read.version, "hash": read.hash, "signed by": read.key_id.hex()}
        body = read.body
        _warn(path, body)
    else:
        read_source = source.load(path)
        body = read_source.body()
        _warn(path, read_source.raw)
        text = bundle.body_text(body)
        facts = {"version": body["version"], "hash": hashlib.sha256(text).hexdigest()[:8]}
    facts["size"] = len(bundle.body_text(body))
    key = bytes.fromhex(body.get("token_key", ""))
    facts["token_key"] = hashlib.sha256(key).hexdigest()[:8] if key else ""
    return facts, body


def _is_port(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return True
    return stat.S_ISCHR(mode) or (stat.S_ISDIR(mode) and path.name == "virtual")


@config.command()
def sign(
    file: File,
    key: Annotated[Path, typer.Option("--key", help="The operator's private key, PEM.")],
    to: Annotated[
        Path | None,
        typer.Option("--out", help="The bundle; with --vehicles a folder. Default: FILE.ftc."),
    ] = None,
    vehicles: Annotated[Path | None, typer.Option(help="A CSV with one row a vehicle.")] = None,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Check a configuration and sign it: one bundle, or one for each vehicle."""
    from faretap.config import bundle, fleet, source
    from faretap.config.errors import ConfigError
    from faretap.config.keys import load

    try:
        base = source.load(file) if vehicles is None else source.read(file)
        _warn(file, base.raw)
        if vehicles is None:
            wanted = {to or file.with_suffix(".ftc"): base.body()}
        else:
            folder = to or file.with_suffix("")
            wanted = {}
            for vehicle in fleet.vehicles(base, vehicles):
                body = vehicle.source.body()
                wanted[folder / f"{vehicle.serial}-v{body['version']}.ftc"] = body
    except ConfigError as e:
        _list_problems(e)
        raise
    private = load(key, lambda: passphrase(passphrase_file))
    made = {path: bundle.make(body, private) for path, body in wanted.items()}
    for folder in {path.parent for path in made}:
        make_folder(folder, ConfigError)
    # A bundle has the fleet's token key in it.
    write_all(list(made.items()), ConfigError, secret=True)
    rows = []
    for path, data in made.items():
        read = bundle.read(data)
        rows.append(
            {
                "file": str(path),
                "version": read.version,
                "hash": read.hash,
                "serials": read.body.get("serials", []),
                "signed by": read.key_id.hex(),
                "size": len(data),
            }
        )
    if json:
        print_json(rows)
        return
    for row in rows:
        out.print(
            f"{row['file']}: version {row['version']}, {row['hash']}, {row['size']:,} bytes, "
            f"signed by {row['signed by']}",
            highlight=False,
            soft_wrap=True,
        )


@config.command()
def push(
    file: Annotated[Path, typer.Argument(help="A bundle.")],
    port: Port,
    claim: Annotated[
        Path | None,
        typer.Option(help="The operator's public key, for a new validator: it takes one, once."),
    ] = None,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Put a bundle in force on a validator, and say what it runs afterwards."""
    from faretap.config import bundle
    from faretap.config import push as by_link
    from faretap.config.errors import ConfigError
    from faretap.config.keys import load_public
    from faretap.session import connect

    public = load_public(claim) if claim else None
    data = read_bytes(file, BUNDLE, ConfigError)
    read = bundle.read(data, str(file))
    _warn(file, read.body)
    if public is not None and not read.signed_by(public):
        raise ConfigError(
            f"{claim} is not the key that signed {file}.", "Claim the validator with that one."
        )
    with connect(port) as validator, _progress() as progress:
        info = by_link.info(validator.link)
        validator.tell_time()
        if public is not None:
            by_link.claim(validator.link, public)
        before = info["hash"]
        by_link.push(validator.link, data, progress)
        if before != read.hash:
            say("the validator restarts")
            info = _after_restart(validator, read.hash)
    if json:
        print_json(info)
        return
    out.print(
        f"{port} runs version {info['version']}, {info['hash']}, in {info['life_cycle']}.",
        highlight=False,
    )


@config.command()
def bench(port: Port, json: Json = False) -> None:
    """Claim a validator for the TEST operator and give it a configuration that takes every
    simulated card and code. For benches only: anybody can sign in that operator's name."""
    from faretap.config import samples
    from faretap.session import connect

    with connect(port) as validator, _progress():
        validator.tell_time()
        pushed = samples.provision(validator.link)
        say("the validator restarts")
        info = _after_restart(validator, pushed["hash"])
    if json:
        print_json(info)
        return
    out.print(
        f"{port} runs the bench configuration, version {info['version']}, in "
        f"{info['life_cycle']}: it takes simulated riders.",
        highlight=False,
    )


def _after_restart(validator: Session, wanted: str) -> dict[str, Any]:
    """What runs after the start that follows a switch."""
    from faretap.config import push as by_link
    from faretap.config.errors import ConfigError

    validator.wait_for("hello", _RESTART_S)
    validator.await_running(10.0)
    info = by_link.info(validator.link)
    if info["hash"] != wanted:
        raise ConfigError(
            f"The validator runs version {info['version']}, {info['hash']}, after its restart.",
            "See `faretap config show --port PORT` and `faretap log`.",
        )
    return info


class _progress:  # noqa: N801 - used as a function
    """A bar on stderr."""

    def __enter__(self) -> Any:
        from rich.progress import BarColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            console=err,
            transient=True,
        )
        task = self._bar.add_task("pushing", total=None)
        self._bar.start()
        return lambda done, total: self._bar.update(task, completed=done, total=total)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


@config.command()
def pull(
    port: Port,
    to: Annotated[Path | None, typer.Option("--out", help="Write it there.")] = None,
    serial: Serial = "",
    json: Json = False,
) -> None:
    """Read what a validator runs, as TOML. Its token key does not leave it."""
    from faretap.config import push as by_link
    from faretap.config import toml
    from faretap.config.errors import ConfigError
    from faretap.session import connect

    with connect(port) as validator:
        body = by_link.pull(validator.link)
    if not body:
        raise ConfigError(f"The validator at {port} has no configuration.")
    if json:
        print_json(body)
    elif to is None:
        print_text(toml.dump(body))
    else:
        make_folder(to.parent, ConfigError)
        write_text(to, toml.dump(body), ConfigError)
        say(f"wrote {to}")


@config.command()
def sample() -> None:
    """Print a configuration to begin with."""
    from importlib.resources import files

    print(files("faretap.config").joinpath("sample.toml").read_text(encoding="utf-8"), end="")


@config.command()
def document() -> None:
    """Print docs/configuration.md, made from the schema."""
    from faretap.config.document import markdown

    print(markdown(), end="")
