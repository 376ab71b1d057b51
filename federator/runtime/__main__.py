"""What the images run: ``python -m federator.runtime COMMAND``."""

import importlib
import sys

from federator.errors import FederatorError

# Imported only when asked for: a link starts without what a worker or the server needs.
_COMMANDS = {
    "link": ("link.process", "a site's outward half"),
    "worker": ("worker.process", "a site's inward half"),
    "keygen": ("keys.site_key", "make this site's key and print its public half"),
    "status": ("link.status", "show what this site does, did and sent"),
    "record": ("link.records.command", "check the record of what left this site, or export it"),
    "doctor": ("doctor.command", "look for what is in the way at this site"),
    "join": ("doctor.join", "walk through all that this site needs before it takes part"),
    "check": ("doctor.check", "the part of join that sees the data"),
    "review": ("review.command", "show what a new site file changes"),
    "unpack": ("review.unpack", "write the code of a site file into a folder"),
    "initial": ("worker.initial_model", "write the first model"),
    "superlink": ("control.superlink", "Flower's SuperLink, with the database that it had before"),
    "signer": ("signer.process", "sign what the coordinator's orders allow"),
    "order": ("signer.command", "order rounds, which the server may then run"),
    "strategy": ("strategy.process", "the author's strategy, apart from the server"),
    "notify": ("notify.process", "send what the server has to tell people"),
    "serve": ("control.process", "the server: admit the sites and run what is asked for"),
}
_OF_THE_AUTHOR = ("doctor", "check", "initial", "strategy")
"""The commands besides worker in which the author's code runs."""


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status."""
    if not arguments or arguments[0] not in _COMMANDS:
        known = "".join(f"  {name:9} {what}\n" for name, (_, what) in _COMMANDS.items())
        asked_for_help = arguments in (["--help"], ["-h"])
        print(f"usage: python -m federator.runtime COMMAND …\n\n{known}", end="",
              file=sys.stdout if asked_for_help else sys.stderr)  # fmt: skip
        return 0 if asked_for_help else 2
    module = importlib.import_module(f"federator.runtime.{_COMMANDS[arguments[0]][0]}")
    try:
        status: int = module.main(arguments[1:])
        return status
    except FederatorError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def run() -> int:
    """Run the command of this process: at a site also by the name ``federator``."""
    if sys.argv[1:] and sys.argv[1] in _OF_THE_AUTHOR:
        from federator.runtime.worker.sandbox import system_calls

        system_calls.restrict()
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
