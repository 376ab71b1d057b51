"""The compose files of a federation: one for the server, and one complete file for each site.

The component templates ``site.yaml`` and ``server.yaml`` are compose files, with comments for a
person in hospital IT. This module sets their values. The same input gives the same bytes.
"""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from federator.app.convert import Components
from federator.common.templates import FOLDER, Templates
from federator.deploy import compose_yaml, memory_limits, site_keys
from federator.deploy.compose_yaml import block
from federator.deploy.server_file import first_weights
from federator.deploy.server_file.approval import SERVER, require_permitted
from federator.deploy.server_file.gateway import GATEWAY, configuration
from federator.deploy.signing_keys import PUBLISHED, as_setting
from federator.errors import FederationFileError, FederatorError, InputError, Problem, Where
from federator.federation import settings
from federator.federation.parts import Site
from federator.federation.schema import FILE, Federation
from federator.images import hashed_packages, model_size
from federator.images.build import Images
from federator.images.model_size import MODEL_BYTES
from federator.runtime import app_files
from federator.runtime.app_files import LAYOUT
from federator.runtime.files import replaced, sha256
from federator.runtime.flower import app_hash
from federator.runtime.review.changes import visible
from federator.runtime.review.permitted import SERVICES
from federator.runtime.review.site_file import APP, SiteFile
from federator.runtime.review.worker_build import dockerfile
from federator.runtime.server.settings import FIRST_MODEL

_OWN_TEMPLATE = f"no server has that: change or remove the template in {FOLDER}/deploy"


def write(
    federation: Federation,
    app: Path,
    images: Images,
    model_bytes: int,
    requirements: tuple[str, ...] | None = None,
) -> list[Path]:
    """Write ``server.yaml``, and ``<site>.yaml`` and ``<site>.env.example`` for each site.

    Args:
        federation: the federation file, beside which the others are written.
        app: the folder of the Flower App that is in the images.
        images: the pushed images.
        model_bytes: the size of the model's weights.
        requirements: pip requirement lines, for sites that build their worker themselves.

    Returns:
        The paths of the files, the server's file first.

    Raises:
        FederationFileError: if the federation file names no server.
        InputError: if the server has no keys yet, an image is missing, or a template is wrong.
    """
    if federation.server is None:
        hint = "write, for example:  server: fl.example.org"
        raise FederationFileError(Problem("server is missing", Where(FILE), hint))
    made = _Files(federation, federation.server, app, images, model_bytes, requirements)
    texts = {SERVER: made.server(), GATEWAY: made.gateway, "server.env.example": made.example()}
    require_permitted(texts, _OWN_TEMPLATE)
    for site in federation.sites:
        texts |= {f"{site.name}.yaml": made.site(site)}
        texts |= {f"{site.name}.env.example": made.example(site)}
    paths = {federation.folder / name: text for name, text in texts.items()}
    try:
        with ExitStack() as stack:  # the files are renamed when all are written
            for path, text in paths.items():
                stack.enter_context(replaced(path)).write(text.encode())
    except OSError as error:
        where = Where(str(federation.folder))
        raise FederatorError(Problem(f"cannot be written: {error.strerror}", where)) from None
    return list(paths)


def write_built(
    federation: Federation, components: Components, images: Images, build_at_site: bool
) -> list[Path]:
    """Write the files of a converted federation with its pushed images, as :func:`write` does.

    Args:
        federation: the federation file.
        components: what was converted.
        images: the pushed images.
        build_at_site: whether each site builds its worker's image itself.

    Raises:
        FederatorError: as in :func:`write`, or if the model's size cannot be found out.
    """
    size = model_size.model_bytes(federation.folder / SERVER, images)
    requirements = components.client_requirements if build_at_site else None
    return write(federation, components.app, images, size, requirements)


@dataclass(frozen=True)
class _Files:
    federation: Federation
    address: str
    app: Path
    images: Images
    model_bytes: int
    requirements: tuple[str, ...] | None

    def site(self, site: Site) -> str:
        """Return a site's file."""
        federation, images = self.federation, self.images
        file = self._template("site.yaml")
        link, worker, join, check, review = (file["services"][name] for name in SERVICES)
        file["name"] = f"{federation.name}-{site.name}"
        cuda = site.accelerator == "cuda"
        client = images.client_cuda if cuda else images.client
        if client is None:
            message = f"there is no image for site {site.name}, which has a GPU"
            raise InputError(Problem(message, hint="run `federator build --push` again"))
        for one in (link, join, review):
            one["image"] = str(images.link)
        app = {"FEDERATOR_SITE": site.name, "FEDERATOR_APP_HASH": self.hash}
        values = settings.in_site_file(federation, site)
        link["environment"] |= (
            app
            | values
            | {
                "FEDERATOR_SERVER": self.address,
                "FEDERATOR_COORDINATOR_KEY": as_setting(self._public(PUBLISHED)),
                "FEDERATOR_CA": block(self._public("ca.crt", optional=True)),
                "FEDERATOR_COHORT": block(self.cohort),
            }
        )
        told = ("FEDERATOR_MIN_CELL_COUNT", "FEDERATOR_SURVEY")  # to its doctor
        worker["environment"] |= app | {name: values[name] for name in told}
        link["mem_limit"] = join["mem_limit"] = f"${{LINK_MEMORY:-{self.limits['link']}}}"
        worker["tmpfs"][0] = f"/tmp:size=${{WORKER_SCRATCH:-{self.limits['scratch']}}},mode=1777"
        built = self.requirements is not None
        for one in (worker, check):
            one["image"] = f"{file['name']}-worker" if built else str(client)
            one["mem_limit"] = f"${{WORKER_MEMORY:-{self.limits['worker']}}}"
            if not cuda:
                del one["deploy"]
        if built:
            build = CommentedMap(context=".", dockerfile_inline=block(self.dockerfiles[cuda]))
            build.yaml_set_anchor("build")
            for one in (worker, check):
                one.insert(1, "build", build)
                one.insert(1, "pull_policy", "build")
        if not (federation.local or federation.personal):
            del worker["environment"]["FEDERATOR_PERSONAL"], file["volumes"]["personal"]
            worker["volumes"].remove("personal:/personal")
        file[APP] = {name: block(text.replace("$", "$$")) for name, text in self.code.items()}
        return _accepted(f"{site.name}.yaml", compose_yaml.write(file))

    def example(self, site: Site | None = None) -> str:
        """Return the example of the server's ``.env``, or of a site's."""
        name = "deploy/site.env" if site else "deploy/server.env"
        layout = [visible(line) for line in self.code.get(LAYOUT, "").splitlines()]
        told = {"own": self.federation.strategy == "own", "notify": self.federation.notify}
        return self.templates.fill(
            name, site=site, port=self.port, layout=layout, **told, **self.limits
        )

    def server(self) -> str:
        """Return ``server.yaml``."""
        federation, images = self.federation, self.images
        file = self._template(SERVER)
        parts = file["services"]
        file["name"] = f"{federation.name}-server"
        for name in ("gateway", "superlink", "server", "watch"):
            parts[name]["image"] = str(images.server)
        for name in ("signer", "order"):
            parts[name]["image"] = str(images.link)
        terms = settings.terms(federation, self.app).write()
        parts["order"]["environment"]["FEDERATOR_TERMS"] = block(terms)
        parts["gateway"]["ports"][0] = DoubleQuotedScalarString(f"${{PORT:-{self.port}}}:8443")
        parts["gateway"]["labels"][f"federator.{GATEWAY}"] = _digest(self.gateway)
        parts["init"]["image"] = str(images.client)
        parts["superlink"]["mem_limit"] = f"${{SUPERLINK_MEMORY:-{self.limits['superlink']}}}"
        parts["server"]["mem_limit"] = f"${{SERVER_MEMORY:-{self.limits['server']}}}"
        parts["init"]["mem_limit"] = self.limits["worker"]
        if federation.strategy == "own":
            parts["strategy"]["image"] = str(images.server)
            parts["strategy"]["mem_limit"] = f"${{STRATEGY_MEMORY:-{self.limits['strategy']}}}"
        else:
            del parts["strategy"], file["volumes"]["strategy"]
            parts["server"]["volumes"].remove("strategy:/strategy")
        if told := settings.notify(federation):
            parts["notify"]["image"] = str(images.server)
            parts["notify"]["environment"]["FEDERATOR_NOTIFY"] = block(told.write())
        else:
            del parts["notify"], file["volumes"]["notices"]
            parts["server"]["volumes"].remove("notices:/notices")
        whole = settings.server(federation)
        shown = {name: whole[name] for name in ("federation", "sites", "publish_sites")}
        for name, values in {"server": whole, "watch": shown}.items():
            text = json.dumps(values, indent=2) + "\n"
            parts[name]["environment"]["FEDERATOR_FEDERATION"] = block(text)
        known = as_setting(self._public(PUBLISHED))
        parts["server"]["environment"]["FEDERATOR_COORDINATOR_KEY"] = known
        command = ["initial", "--app=/app", f"--out={FIRST_MODEL}"]
        if given := federation.initial_weights:
            inside = f"/run/federator/{given.name}"
            command.append(f"--from={inside}")
            parts["init"]["volumes"].append(first_weights.mount(federation, given, inside))
        parts["init"]["command"] = command
        file[MODEL_BYTES] = self.model_bytes
        return compose_yaml.write(file)

    @property
    def port(self) -> str:
        """The port at which the sites reach the server."""
        return self.address.rpartition(":")[2]

    @cached_property
    def templates(self) -> Templates:
        """The templates, each compiled once for all sites."""
        return Templates(self.federation.root)

    @cached_property
    def gateway(self) -> str:
        """The configuration of the gateway."""
        return configuration(self.templates)

    @cached_property
    def cohort(self) -> str:
        """The sites' keys for secure aggregation; empty without it."""
        masked = self.federation.secure_aggregation
        return "\n".join(site_keys.cohort(self.federation)) if masked else ""

    @cached_property
    def hash(self) -> str:
        return app_hash(self.app)

    @cached_property
    def code(self) -> Mapping[str, str]:
        """The app's files, the one that runs beside the data first."""
        names = ["task.py", "client_app.py", "aggregation.py", "server_app.py", "pyproject.toml"]
        files = app_files.read(self.app)
        return {name: files[name] for name in names} | files

    @cached_property
    def limits(self) -> Mapping[str, str]:
        return memory_limits.memory(self.federation, self.model_bytes)

    @cached_property
    def dockerfiles(self) -> Mapping[bool, str]:
        """The Dockerfile that a site builds its worker by, with CUDA and without."""
        build, link = self.federation.build, self.images.link
        return {
            cuda: dockerfile(
                str(link),
                hashed_packages.resolve(link, self.requirements or (), build, cuda),
                hashed_packages.indexes(build, cuda),
            )
            for cuda in {site.accelerator == "cuda" for site in self.federation.sites}
        }

    def _public(self, name: str, optional: bool = False) -> str:
        path = self.federation.folder / "public" / name
        try:
            return path.read_text(encoding="ascii")
        except FileNotFoundError:
            if optional:
                return ""
            hint = f"run `federator provision {self.federation.folder}` on the server, and commit"
            raise InputError(Problem(f"{path} is missing", hint=hint)) from None

    def _template(self, name: str) -> CommentedMap:
        return compose_yaml.read(self.templates.read(f"deploy/{name}"), f"{FOLDER}/deploy/{name}")


def _accepted(name: str, text: str) -> str:
    """Return a site's file, if the site's own ``review`` will accept it.

    Raises:
        InputError: with all that it will not.
    """
    hint = f"a site refuses that: change {FOLDER}/deploy/site.yaml of this repository, or remove it"
    problems = SiteFile.parse(name, text.encode()).problems
    if found := [Problem(f"{name}: {problem}", hint=hint) for problem in problems]:
        raise InputError(*found)
    return text


def _digest(text: str) -> str:
    return sha256(text.encode())
