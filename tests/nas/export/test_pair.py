"""Several trials as one network: mixed or probed, written whole, loaded with the same rules as an export."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import tomli_w
import torch
from terminal import run

import nas
from nas.errors import WrongInputError
from nas.export.ensemble import Ensemble, Probed, SmoothedPair, Smoothing
from nas.export.evaluate import evaluate
from nas.export.pair import Chosen, Paired, pair
from nas.results.study import Study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, small: dict[str, Any]) -> Study:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "small.toml").write_text(tomli_w.dumps({**small, "trials": 3}))
    return nas.search(folder / "small.toml", out=folder / "run")


def paired(study: Study, out: Path, *numbers: int, **options: Any) -> Paired:
    records = [study.trial(number) for number in numbers]
    return pair(study.directory, study.settings, records, out, **options)


@pytest.fixture(scope="module")
def mixed(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mixed") / "out"
    return paired(study, out, 0, 1, chosen=Chosen(0.25, (2.0, 1.0))).directory


@pytest.fixture(scope="module")
def probed(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return paired(study, tmp_path_factory.mktemp("probed") / "out", 0, 1, 2, chosen=None).directory


def loaded(directory: Path) -> Ensemble:
    network = nas.load(directory)
    assert isinstance(network, Ensemble)
    return network


def test_the_mixture_is_the_logarithm_of_mixed_probabilities() -> None:
    first, second = torch.tensor([[0.0, math.log(3.0)]]), torch.tensor([[math.log(4.0), 0.0]])
    found = Smoothing(0.25, (1.0, 0.5))(first, second).exp()  # (1/4, 3/4) and, with roots, (2/3, 1/3)
    assert torch.allclose(found, torch.tensor([[0.75 / 4 + 0.25 * 2 / 3, 0.75 * 3 / 4 + 0.25 / 3]]))


def test_a_mixture_that_is_loaded_mixes_its_members(mixed: Path) -> None:
    network, images = loaded(mixed), torch.rand(3, 1, 8, 8)
    accurate, robust = (nas.load(mixed / "members" / name) for name in "01")
    assert isinstance(network, SmoothedPair)
    assert torch.equal(network(images), Smoothing(0.25, (2.0, 1.0))(accurate(images), robust(images)))
    assert not network.training


def test_a_probe_reads_the_features_of_all_members(probed: Path) -> None:
    network, images = loaded(probed), torch.rand(3, 1, 8, 8)
    assert isinstance(network, Probed)
    features = [nas.load(probed / "members" / name).features(images) for name in "012"]  # type: ignore[operator]
    tensors = safetensors.torch.load_file(probed / "probe.safetensors")
    assert torch.equal(network(images), torch.nn.functional.linear(torch.cat(features, 1), **tensors))


def test_a_probe_is_fitted_to_the_classes(study: Study, tmp_path: Path) -> None:
    done = paired(study, tmp_path / "out", 0, 1, 2, chosen=None)
    assert done.measured["accuracy"] >= min(one["accuracy"] for one in done.members.values())


def test_gradients_reach_the_pixels_through_both_members(mixed: Path) -> None:
    network, images = loaded(mixed), torch.rand(4, 1, 8, 8, requires_grad=True)
    accurate, robust = (nas.load(mixed / "members" / name) for name in "01")
    mixture = Smoothing(0.25, (2.0, 1.0))

    def gradient(outputs: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(outputs[:, 3].sum(), images)[0]

    whole = gradient(network(images))
    assert torch.equal(whole, gradient(mixture(accurate(images), robust(images))))
    assert not torch.equal(whole, gradient(mixture(accurate(images), robust(images).detach())))
    assert not torch.equal(whole, gradient(mixture(accurate(images).detach(), robust(images))))


def test_what_is_free_is_chosen_on_the_validation_images(study: Study, tmp_path: Path) -> None:
    done = paired(study, tmp_path / "out", 0, 1, chosen=Chosen(temperatures=(1.0, 1.0)))
    assert done.recipe["alpha"] in (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    assert done.recipe["temperatures"] == (1.0, 1.0)
    assert done.measured.keys() == next(iter(done.members.values())).keys()
    assert done.costs["macs"] == sum(study.trial(n).measured["macs"] for n in (0, 1))


def test_a_pair_is_evaluated_like_any_export_and_notes_it(mixed: Path, tmp_path: Path) -> None:
    shutil.copytree(mixed, tmp_path / "pair")
    result = evaluate(tmp_path / "pair", None, "test")
    assert 0 <= result["measured"]["accuracy"] <= 1
    assert json.loads((tmp_path / "pair/evaluations.jsonl").read_text())["split"] == "test"


def test_neural_collapse_is_logged_of_the_training_images(mixed: Path, tmp_path: Path) -> None:
    shutil.copytree(mixed, tmp_path / "pair")
    result = evaluate(tmp_path / "pair/members/0", None, "validation", collapse=True)
    assert result["neural_collapse"].keys() == {"within", "norms", "angles", "duality"}
    with pytest.raises(WrongInputError, match="known of one network of classes"):
        evaluate(tmp_path / "pair", None, "validation", collapse=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.5}, "alpha must be between 0 and 1, got 1.5"),
        ({"alpha": "0.5"}, "alpha must be a number"),
        ({"temperatures": [1, -1]}, "temperatures must be two numbers above 0"),
        ({"kind": "pickle"}, 'of kind "smoothing" or "probe"'),
        ({"members": 3}, "it must have 2 members, got 3"),
        ({"members": "../.."}, "members must be a whole number"),
    ],
)
def test_a_damaged_recipe_is_named(mixed: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    shutil.copytree(mixed, tmp_path / "pair")
    path = tmp_path / "pair/ensemble.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    (tmp_path / "pair/SHA256SUMS").unlink()
    with pytest.raises(WrongInputError, match=message):
        nas.load(tmp_path / "pair")


def test_a_changed_byte_of_a_member_is_noticed(mixed: Path, tmp_path: Path) -> None:
    shutil.copytree(mixed, tmp_path / "pair")
    with (tmp_path / "pair/members/1/model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(WrongInputError, match=r"members/1/model\.safetensors is damaged"):
        nas.load(tmp_path / "pair")


def test_a_probe_of_another_shape_is_refused(probed: Path, tmp_path: Path) -> None:
    shutil.copytree(probed, tmp_path / "probe")
    path = tmp_path / "probe/probe.safetensors"
    tensors = safetensors.torch.load_file(path)
    safetensors.torch.save_file({**tensors, "weight": tensors["weight"][:, 1:].contiguous()}, path)
    (tmp_path / "probe/SHA256SUMS").unlink()
    with pytest.raises(WrongInputError, match="holds no weight of shape"):
        nas.load(tmp_path / "probe")


def test_an_earlier_pair_is_replaced_by_force_alone_and_stays_known_to_have_seen_the_test(
    study: Study, mixed: Path, tmp_path: Path
) -> None:
    shutil.copytree(mixed, tmp_path / "pair")
    (tmp_path / "pair/evaluations.jsonl").write_text("{}\n")
    with pytest.raises(WrongInputError, match="holds an earlier export"):
        paired(study, tmp_path / "pair", 1, 2, chosen=Chosen(0.5, (1.0, 1.0)))
    paired(study, tmp_path / "pair", 1, 2, chosen=Chosen(0.5, (1.0, 1.0)), force=True)
    assert (tmp_path / "pair/evaluations.jsonl").read_text() == "{}\n"
    assert loaded(tmp_path / "pair")(torch.rand(1, 1, 8, 8)).shape == (1, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["0", "0"], "the members must differ, got 0, 0"),
        (["0", "1", "2"], "it must have 2 members, got 3"),
        (["0", "1", "--alpha", "1"], "alpha must be between 0 and 1, got 1"),
        (["0", "1", "--temperatures", "warm"], "--temperatures needs two numbers S,R, as in 1.5,1, got 'warm'"),
        (["0", "1", "--probe", "--alpha", "0.5"], "belong to a mixture of two"),
        (["0", "7"], "has no ended trial 7"),
    ],
)
def test_wrong_members_are_one_message(study: Study, tmp_path: Path, options: list[str], message: str) -> None:
    result = run("pair", str(study.directory), *options, "-o", str(tmp_path / "out"))
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
