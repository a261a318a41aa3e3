"""The models on this disk: which are there and whole, where they are, and how to get or drop one."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from filelock import FileLock

from facecraft.catalog.catalog import Catalog
from facecraft.catalog.files import storage_errors
from facecraft.catalog.licenses import LicenseLedger, LicensePolicy
from facecraft.catalog.records import VerifiedFiles
from facecraft.catalog.results import InstallResult, InstallStatus, ModelState, RemoveResult, VerifyResult
from facecraft.catalog.sources import Conditions, Patience
from facecraft.catalog.spec import ModelSpec, Task
from facecraft.errors import (
    ModelError,
    ModelIntegrityError,
    ModelNotInstallableError,
    ModelNotInstalledError,
    OfflineError,
)
from facecraft.progress import CancelToken, Progress, silent

_NO_CHECKSUM = "Nobody has published a checksum for this file, so it is neither fetched nor loaded. "


class ModelStore:
    """A folder of model files, flat: ``root/FILE``. Safe for several threads and several processes.

    A file counts as installed when it has the size and the checksum of the catalogue, whoever put it there. It is
    hashed when it is installed, when :meth:`verify` is called, and when it is first asked for after it changed;
    what was found is remembered in ``root/.verified.json``, so that a start does not hash it all again. A file
    without a published checksum is listed as unverified and never given out.

    ``search`` names further folders (of an image, of another user) that are read and never written; ``places`` names
    the files of single models, by id, that lie elsewhere under any name and are checked like all others. Nothing is
    fetched by anything but :meth:`install`, and nothing at all when ``offline``.
    """

    def __init__(
        self,
        catalog: Catalog,
        root: Path,
        *,
        offline: bool = False,
        policy: LicensePolicy = LicensePolicy.ANY_ACCEPTED,
        search: tuple[Path, ...] = (),
        places: Mapping[str, Path] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.catalog = catalog
        self.root = root.expanduser().absolute()
        self.offline = offline
        self.policy = policy
        self._folders = (self.root, *(folder.expanduser().absolute() for folder in search))
        self._places = dict(places or {})
        self._patience = patience or Patience()
        self._records = VerifiedFiles(self.root)
        self._licenses = LicenseLedger(self.root / "licenses.json")

    # --- asking ----------------------------------------------------------------------------------------------------

    def state(self, model_id: str) -> ModelState:
        """Return what the disk holds of a model. Hashes a file that is new or changed.

        Raises:
            UnknownModelError: the catalogue has no such model.
        """
        return self._look(self.catalog.get(model_id))[0]

    def installed(self, model_id: str) -> bool:
        """Whether the model's file is here and whole; True for a model built into its runtime."""
        return self.state(model_id) is ModelState.INSTALLED

    def permitted(self, model_id: str) -> bool:
        """Whether policy and accepted licences let the model be used."""
        spec = self.catalog.get(model_id)
        return spec.commercial or (self.policy is LicensePolicy.ANY_ACCEPTED and self._licenses.accepted(spec))

    def usable(self, model_id: str) -> bool:
        """Whether the model and all it requires are installed and permitted. Says nothing of its runtime."""
        specs = self.catalog.with_requirements([self.catalog.get(model_id)])
        return all(self.permitted(spec.id) and self.installed(spec.id) for spec in specs)

    def candidates(self, task: Task) -> tuple[ModelSpec, ...]:
        """Return the usable models of a task that "auto" may take, best first; empty when there is none."""
        return tuple(spec for spec in self.catalog.auto(task) if self.usable(spec.id))

    def path(self, model_id: str) -> Path:
        """Return the path of an installed, whole and permitted model file.

        Raises:
            UnknownModelError: the catalogue has no such model.
            ModelNotInstalledError: it is not here; the hint is the command that installs it.
            LicenseNotAcceptedError: its licence is not accepted, or the policy excludes it.
            ModelIntegrityError: the file has another size or checksum than the catalogue.
            ModelNotInstallableError: nobody has published a checksum for it.
            ModelError: the model is built into its runtime and has no file.
        """
        spec = self.catalog.get(model_id)
        if spec.builtin:
            raise ModelError(f"{spec.id} is built into its runtime and has no file.")
        if self.policy is LicensePolicy.COMMERCIAL:
            self._licenses.require(spec, self.policy)
        state, path = self._look(spec)
        if state is ModelState.UNVERIFIED or not spec.installable:
            raise self._not_installable(spec)
        if path is None:
            raise ModelNotInstalledError(
                f"The model {spec.id} is not installed.",
                hint=f"facecraft models install {spec.id}",
                wanted=(spec.id,),
            )
        if state is ModelState.CORRUPT:
            raise ModelIntegrityError(
                f"The file of {spec.id} is damaged or another one: {path}.",
                hint=f"facecraft models install {spec.id}",
            )
        self._licenses.require(spec, self.policy)
        return path

    # --- changing --------------------------------------------------------------------------------------------------

    def install(
        self,
        names: Iterable[str],
        *,
        accept_license: bool = False,
        progress: Progress = silent,
        cancel: CancelToken | None = None,
    ) -> list[InstallResult]:
        """Install models and whatever they require, by id or name of a pack; return one result for each.

        Everything that can be said without the network is said before the first download: unknown names, licences,
        missing checksums, no space. What is installed already is left alone, a damaged file is replaced. A second
        process that wants the same waits and finds it installed. ``accept_license`` accepts the non-commercial
        licences of what is installed and records that.

        Raises:
            UnknownModelError, LicenseNotAcceptedError, ModelNotInstallableError, OfflineError: before anything is
                fetched.
            ModelDownloadError, ModelIntegrityError: no source gave a model; others may be installed by then.
            StorageFullError, StorageAccessError: the folder cannot take it.
            CancelledError: ``cancel`` was set.
        """
        specs = self.catalog.with_requirements(self.catalog.resolve(names))
        for spec in specs:
            if not spec.installable:
                raise self._not_installable(spec)
        if accept_license and self.policy is not LicensePolicy.COMMERCIAL:
            self._accept(specs)
        for spec in specs:
            self._licenses.require(spec, self.policy)
        here = {spec.id: self._present(spec) for spec in specs if spec.builtin or self._present(spec)}
        missing = [spec for spec in specs if spec.id not in here]
        done = {spec_id: InstallResult(spec_id, InstallStatus.ALREADY, path) for spec_id, path in here.items()}
        if missing:
            if self.offline:
                raise OfflineError(
                    f"Facecraft is offline and must not fetch {', '.join(spec.id for spec in missing)}.",
                    hint=f"Unset FACECRAFT_OFFLINE, or copy {missing[0].file} into {self.root}.",
                )
            done |= {result.model_id: result for result in self._fetch(missing, progress, cancel or CancelToken())}
        return [done[spec.id] for spec in specs]

    def verify(self, names: Iterable[str] = ()) -> list[VerifyResult]:
        """Hash the files of models (by id or pack; all that are here when none is named) and say what they are.

        Raises:
            UnknownModelError: a name is unknown.
            StorageAccessError: a file cannot be read.
        """
        named = self.catalog.resolve(names)
        specs = named or [spec for spec in self.catalog if spec.file and any(self._files(spec))]
        return [self._verify(spec) for spec in specs]

    def remove(self, names: Iterable[str]) -> list[RemoveResult]:
        """Delete the files of models, and what interrupted downloads left of them, from the models folder.

        Accepted licences stay accepted; files in ``search`` folders stay.

        Raises:
            UnknownModelError: a name is unknown.
            StorageAccessError: a file cannot be deleted.
        """
        return [self._remove(spec) for spec in self.catalog.resolve(names)]

    def accept(self, names: Iterable[str]) -> None:
        """Record that the licences of models were accepted; commercial ones need no acceptance.

        Raises:
            UnknownModelError: a name is unknown.
            StorageAccessError: the folder cannot be written.
        """
        self._accept(self.catalog.resolve(names))

    def accepted(self) -> dict[str, str]:
        """Return the licence text that was accepted, by model id."""
        return self._licenses.all()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _files(self, spec: ModelSpec) -> Iterator[tuple[Path, int]]:
        """Yield path and size of what the folders hold under the name of ``spec``, the own folder first."""
        place = self._places.get(spec.id)
        paths = [] if place is None else [place.expanduser().absolute()]
        for path in [*paths, *(folder / (spec.file or "") for folder in self._folders)]:
            try:
                status = path.stat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size

    def _look(self, spec: ModelSpec, *, fresh: bool = False) -> tuple[ModelState, Path | None]:
        if spec.builtin:
            return ModelState.INSTALLED, None
        worst: tuple[ModelState, Path | None] = (ModelState.ABSENT, None)
        for path, size in self._files(spec):
            if spec.sha256 is None:
                return ModelState.UNVERIFIED, path
            right_size = spec.bytes in {None, size}
            if right_size and self._records.sha256(path, fresh=fresh) == spec.sha256:
                return ModelState.INSTALLED, path
            if worst[1] is None:
                worst = (ModelState.CORRUPT, path)
        return worst

    def _present(self, spec: ModelSpec) -> Path | None:
        state, path = self._look(spec)
        return path if state is ModelState.INSTALLED else None

    def _fetch(self, missing: list[ModelSpec], progress: Progress, cancel: CancelToken) -> list[InstallResult]:
        # Loads the HTTP client, which a start that installs nothing does not need.
        from facecraft.catalog.install import Shelf, install_all  # noqa: PLC0415

        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            shelf = Shelf(self.catalog, self.root, self._records, self._present)
            return install_all(shelf, missing, conditions=Conditions(self._patience, cancel), progress=progress)

    def _verify(self, spec: ModelSpec) -> VerifyResult:
        state, path = self._look(spec, fresh=True)
        digest = self._records.sha256(path) if path is not None else None
        return VerifyResult(spec.id, state, path, digest)

    def _remove(self, spec: ModelSpec) -> RemoveResult:
        if spec.file is None:
            return RemoveResult(spec.id, removed=False)
        path = self.root / spec.file
        with storage_errors(self.root):
            (self.root / ".partial" / f"{spec.file}.part").unlink(missing_ok=True)
            if not path.is_file():
                return RemoveResult(spec.id, removed=False)
            size = path.stat().st_size
            path.unlink()
            self._records.forget(path)
        return RemoveResult(spec.id, removed=True, freed=size)

    def _accept(self, specs: Iterable[ModelSpec]) -> None:
        restricted = tuple(spec for spec in specs if not spec.commercial)
        if not restricted:
            return
        with storage_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(self.root / ".licenses.lock"):
                self._licenses.accept(restricted)

    def _not_installable(self, spec: ModelSpec) -> ModelNotInstallableError:
        others = [other.id for other in self.catalog.auto(spec.task)][:3]
        instead = f"Use {' or '.join(others)} instead." if others else "There is no other model for this task."
        return ModelNotInstallableError(
            f"{spec.id} has no published checksum and is not installed unattended.", hint=_NO_CHECKSUM + instead
        )
