"""What a site's answers say for secure aggregation: its key of a run, a seed, what was clipped."""

from collections.abc import Mapping
from dataclasses import dataclass

from flwr.app import Message

from federator.runtime.masking.terms import RunKey, TermsError, unpacked

_LENGTH = 128  # of a site's signature (signatures.py)
_KEY, _SIGNATURE, _SEED, _SATURATED = "mask-key", "mask-signature", "mask-seed", "saturated"


@dataclass(frozen=True)
class MaskingReply:
    """What an answer says beside its outcome.

    Attributes:
        key: at joining, the site's key of the run; None where it has none.
        seed: of its own mask (base64), where it was to reveal that; else empty.
        saturated: of an update, how many numbers were clipped.
    """

    key: RunKey | None = None
    seed: str = ""
    saturated: int = 0

    @property
    def fields(self) -> dict[str, str | int]:
        """What of it is said, by the names of the record's fields."""
        said: dict[str, str | int] = {}
        if self.key is not None:
            said |= {_KEY: self.key.key, _SIGNATURE: self.key.signature}
        if self.seed:
            said[_SEED] = self.seed
        if self.saturated:
            said[_SATURATED] = self.saturated
        return said

    @staticmethod
    def read(reply: Message) -> "MaskingReply":
        """Return what a reply says; what has another form, it does not say."""
        if reply.has_error():
            return MaskingReply()
        record: Mapping[str, object] = reply.content.config_records.get("site", {})
        key, signature = record.get(_KEY), record.get(_SIGNATURE)
        seed, saturated = record.get(_SEED), record.get(_SATURATED)
        known = isinstance(key, str) and _is_secret(key) and isinstance(signature, str)
        known = known and len(str(signature)) == _LENGTH
        return MaskingReply(
            RunKey(str(key), str(signature)) if known else None,
            seed if isinstance(seed, str) and _is_secret(seed) else "",
            saturated if type(saturated) is int and saturated > 0 else 0,
        )


def _is_secret(text: str) -> bool:
    try:
        return bool(unpacked(text))
    except TermsError:
        return False
