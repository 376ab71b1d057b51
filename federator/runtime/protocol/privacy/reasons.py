"""Why a site does not train with differential privacy: what was found, and what to write."""

from collections.abc import Mapping

_CALL = "`net, optimizer, trainloader = privacy(net, optimizer, trainloader)`"

PRIVACY_REASONS: Mapping[str, str] = {
    "privacy-opacus": "Opacus is not installed, and the federation asks for differential privacy: "
    "`pip install 'notebook-federator[privacy]'`, or build the images anew",
    "privacy-link": "a stock SuperNode has no link that holds the privacy budget, and the "
    "federation asks for differential privacy: run the site from its compose file",
    "privacy-model": "the model cannot be trained with differential privacy: {type}",
    "privacy-loader": "the training set's loader cannot be sampled for differential privacy: "
    "return a DataLoader with a batch_size, without a sampler, of a dataset with a length",
    "privacy-patients": "the unit of privacy is a patient: write `def patients_of(dataset): ...`, "
    "which returns the patient of each training record, in their order, as numbers or texts",
    "privacy-delta": "delta in the federation file is above 1/{count}, and the training set has "
    "{count} units: it gives no guarantee there",
    "privacy-unused": "train did not call privacy: let it take `privacy=None`, and write "
    + _CALL
    + " before its loop",
    "privacy-twice": "train called privacy twice: call it once, before the loop",
    "privacy-given": "privacy was called with something else than train was given: write "
    + _CALL
    + ", with an optimizer of torch.optim over parameters of net",
    "privacy-weights": "the weights changed without a private step: make steps with the optimizer "
    "that privacy returned, and change no tensor of the model beside it",
    "privacy-batch": "a step was made with other records than those of the last batch: read the "
    "trainloader that privacy returned, give net the whole batch once, and make one step for each",
    "privacy-loss": "the loss is not a mean over the batch's records: terms on the weights have no "
    "gradient of a record (write weight_decay of the optimizer in their place)",
    "privacy-steps": "train makes more steps than were ordered: read the trainloader once an epoch",
}
