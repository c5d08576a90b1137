"""Data sets of sound: layouts, official splits, groups that stay whole, options, damage, the cache, the real digits."""

import os
import re
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from trainers import Dataset, Samples, training_data
from trainers.audio import LogMel, read_wave
from trainers.datasets.audiofolder import AudioFolder
from trainers.datasets.fsdd import Fsdd
from trainers.datasets.ravdess import Ravdess
from trainers.datasets.speech_commands import SpeechCommands
from trainers.datasets.urbansound8k import UrbanSound8K
from trainers.formats.clips import Clips

Trees = Callable[[str], Path]
Sound = Callable[..., Path]
KINDS: dict[str, type[Clips]] = {
    "audiofolder": AudioFolder,
    "fsdd": Fsdd,
    "ravdess": Ravdess,
    "speech_commands": SpeechCommands,
    "urbansound8k": UrbanSound8K,
}


def shows(samples: Samples, number: int, file: Path, front_end: LogMel) -> None:
    """Asserts that an image is the spectrogram of a file."""
    np.testing.assert_allclose(samples.images[number], front_end([read_wave(file, front_end)])[0], atol=1e-6)


# Every data set of sound


@pytest.mark.parametrize("name", KINDS)
def test_images_are_the_spectrograms_that_the_location_asks_for(name: str, sounds: Trees) -> None:
    folder, kind = sounds(name), KINDS[name]
    front_end = kind.front_end
    assert kind(str(folder)).load("train").images.shape[1:] == (1, front_end.mel, front_end.frames)
    other = kind.of(f"{folder},rate=6000,32x16")
    assert other.make_front_end() == LogMel(6_000, 32, 16)
    assert other.load("train").images.shape[1:] == (1, 32, 16)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "audiofolder"])
def test_they_are_found_below_nas_data(name: str, sounds: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sounds(name)
    monkeypatch.setenv("NAS_DATA", str(folder.parent))
    assert KINDS[name]().found() in [str(folder.parent / place) for place in KINDS[name].folders]
    assert KINDS[name].of("32x16").load("test").images.shape[1:] == (1, 32, 16)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            lambda: Fsdd.of("speeker=theo,64x64"),
            r"option 'speeker' of 'speeker=theo,64x64' is unknown\. Known: frames, mel, rate, speaker\. Write it as in "
            r"fsdd:DIR,speaker=theo,rate=8000,64x64\.",
        ),
        (
            lambda: UrbanSound8K.of("DIR,speaker=theo"),
            r"Known: fold, frames, mel, rate\. .* urbansound8k:DIR,fold=10,rate=16000,",
        ),
        (
            lambda: Ravdess.of("actor=1,actor=2"),
            r"option 'actor' .* comes twice\. .* ravdess:DIR,actor=21-24,rate=16000",
        ),
        (lambda: AudioFolder.of("DIR,rate=cd"), r"rate must be a whole number, got 'cd'"),
        (lambda: AudioFolder.of("DIR,size=64"), r"option 'size' .* is unknown.* audiofolder:DIR,rate=16000,64x1"),
        (lambda: Fsdd(rate=999), r"the sample rate must be from 1000 to 192000 Hz, got 999"),
        (lambda: UrbanSound8K(fold=11), r"urbansound8k has folds 1 to 10, got fold=11"),
        (lambda: Fsdd.of("200x64"), r"200 mel bins are too many for 8000 Hz"),
        (lambda: Fsdd.of("64x2"), r"mel bins and frames must be from 8 to 2048, got 64x2"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_read(dataset: Callable[[], Dataset], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataset()


def test_a_data_set_that_is_not_here_says_what_and_where_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NAS_DATA", raising=False)
    message = (
        r"fsdd was not found because NAS_DATA, .* Expected recordings/0_theo_0\.wav .* Clone Jakobovski/.* "
        r"Written fsdd:DIR,speaker=theo,rate=8000,64x64\."
    )
    with pytest.raises(FileNotFoundError, match=message):
        Fsdd.of("speaker=theo").load("train")
    with pytest.raises(FileNotFoundError, match="ravdess was not found in no/where"):
        Ravdess.of("no/where,actor=3").load("train")


def test_unreadable_files_are_named_up_to_five(sounds: Trees) -> None:
    folder = sounds("fsdd")
    for name in ("3_bob_10", "4_ann_5"):
        (folder / "recordings" / f"{name}.wav").write_bytes(b"not a sound")
    message = (
        rf"^2 of 60 sound files cannot be read: {folder}/recordings/3_bob_10\.wav \(Format not recognised\), "
        rf"{folder}/recordings/4_ann_5\.wav \(Format not recognised\)\. Get them again or remove them\.$"
    )
    with pytest.raises(ValueError, match=message):
        Fsdd(str(folder)).load("train")
    for take in (5, 10):
        for digit in range(10):
            (folder / "recordings" / f"{digit}_cy_{take}.wav").write_bytes(b"not a sound")
    with pytest.raises(ValueError, match=r"^22 of 60 sound files .*: ([^,]+, ){4}[^,]+ and 17 more\. Get them"):
        Fsdd(str(folder)).load("train")


def test_unreadable_files_of_several_groups_are_named_together(sounds: Trees) -> None:
    folder = sounds("urbansound8k")
    for name in ("fold1/3-3-0-0", "fold9/88-8-0-0"):
        (folder / "audio" / f"{name}.wav").write_bytes(b"not a sound")
    with pytest.raises(ValueError, match=r"^2 of 90 sound files .* .*fold1/3-3-0-0\.wav .*, .*fold9/88-8-0-0\.wav \("):
        UrbanSound8K(str(folder)).load("train")


def test_a_damaged_test_file_does_not_matter_for_training(sounds: Trees) -> None:
    folder = sounds("fsdd")
    (folder / "recordings" / "3_bob_0.wav").write_bytes(b"not a sound")
    assert len(Fsdd(str(folder)).load("train")) == 60
    with pytest.raises(ValueError, match=r"^1 of 30 sound files cannot be read: .*3_bob_0\.wav"):
        Fsdd(str(folder)).load("test")


# Digits


def test_takes_0_to_4_are_the_test_split(sounds: Trees) -> None:
    dataset = Fsdd(str(sounds("fsdd")))
    train, test = dataset.load("train"), dataset.load("test")
    assert np.bincount(train.labels).tolist() == [6] * 10
    assert np.bincount(test.labels).tolist() == [3] * 10
    assert train.groups is None
    recordings = Path(dataset.location) / "recordings"
    shows(test, 5, recordings / "1_cy_0.wav", Fsdd.front_end)
    shows(train, 7, recordings / "1_ann_5.wav", Fsdd.front_end)


def test_one_speaker_is_left_out_and_validation_holds_out_another(sounds: Trees) -> None:
    dataset = Fsdd.of(f"{sounds('fsdd')},speaker=bob")
    train, test = dataset.load("train"), dataset.load("test")
    assert train.groups is not None
    assert test.groups is not None
    assert sorted(set(train.groups.tolist())) == [0, 2]
    assert sorted(set(test.groups.tolist())) == [1]
    assert (len(train), len(test)) == (60, 30)
    data = training_data(dataset, limit=None, validation=0.2, seed=0)
    assert data.train.groups is not None
    assert data.validation.groups is not None
    assert {*data.train.groups.tolist()}.isdisjoint(data.validation.groups.tolist())
    assert np.bincount(data.validation.labels).tolist() == [3] * 10


def test_an_unknown_speaker_is_told(sounds: Trees) -> None:
    with pytest.raises(ValueError, match=r"fsdd has no speaker 'theo'\. Known: ann, bob, cy\."):
        Fsdd.of(f"{sounds('fsdd')},speaker=theo").load("train")


def test_a_recording_of_another_name_is_told(sounds: Trees, sound: Sound) -> None:
    folder = sounds("fsdd")
    sound(folder / "recordings" / "one.wav")
    with pytest.raises(ValueError, match=r"one\.wav is not called DIGIT_SPEAKER_TAKE\.wav, as 0_theo_0\.wav is\."):
        Fsdd(str(folder)).load("train")


def pack(folder: Path) -> Path:
    """The recordings of ``folder`` as an archive with its index."""
    place = folder.parent / "packed"
    place.mkdir()
    names = sorted(f"recordings/{file.name}" for file in (folder / "recordings").iterdir())
    (place / "index.csv").write_text("\n".join(["file,digit", *(f"{name},{name[11]}" for name in names)]))
    with tarfile.open(place / "recordings.tar.xz", "w:xz") as tar:
        tar.add(folder / "recordings", "recordings")
    return place


@pytest.mark.parametrize("location", ["", ",speaker=cy"])
def test_the_archive_gives_what_the_folder_gives(sounds: Trees, location: str) -> None:
    folder = sounds("fsdd")
    unpacked, packed = Fsdd.of(f"{folder}{location}"), Fsdd.of(f"{pack(folder)}{location}")
    for split in ("train", "test"):
        one, other = unpacked.load(split), packed.load(split)
        assert np.array_equal(one.images, other.images)
        assert np.array_equal(one.labels, other.labels)


def test_a_damaged_archive_is_named(sounds: Trees) -> None:
    place = pack(sounds("fsdd"))
    archive = place / "recordings.tar.xz"
    index = place / "index.csv"
    index.write_text(index.read_text() + "\nrecordings/7_dee_9.wav,7")
    message = (
        r"recordings\.tar\.xz is truncated or damaged \(it lacks 1 files, 7_dee_9\.wav among them\)\. Expected the"
    )
    with pytest.raises(ValueError, match=message):
        Fsdd(str(place)).load("train")
    archive.write_bytes(archive.read_bytes()[:-5_000])
    with pytest.raises(ValueError, match=r"recordings\.tar\.xz is truncated or damaged \("):
        Fsdd(str(place)).load("train")
    index.write_text("name\na.wav")
    with pytest.raises(ValueError, match=r"index\.csv is truncated or damaged \('file'\)\. Expected a table with"):
        Fsdd(str(place)).load("train")


# Speech Commands


def test_the_lists_say_what_is_held_out(sounds: Trees) -> None:
    folder = sounds("speech_commands")
    dataset = SpeechCommands(str(folder))
    assert dataset.classes() == ("no", "yes")
    train, validation, test = (dataset.load(split) for split in ("train", "validation", "test"))
    assert (len(train), len(validation), len(test)) == (8, 4, 4)
    assert train.labels.tolist() == [0] * 4 + [1] * 4
    assert validation.labels.tolist() == [1, 1, 0, 0]
    shows(train, 0, folder / "no" / "4_nohash_0.wav", SpeechCommands.front_end)
    shows(validation, 0, folder / "yes" / "0_nohash_0.wav", SpeechCommands.front_end)
    shows(test, 3, folder / "no" / "3_nohash_0.wav", SpeechCommands.front_end)


def test_a_search_takes_the_official_validation_split(sounds: Trees) -> None:
    dataset = SpeechCommands(str(sounds("speech_commands")))
    data = training_data(dataset, limit=None, validation=0.2, seed=0)
    assert np.array_equal(data.validation.images, dataset.load("validation").images)
    assert len(data.train) == 8


def test_a_listed_file_that_is_missing_is_named(sounds: Trees) -> None:
    folder = sounds("speech_commands")
    (folder / "no" / "0_nohash_0.wav").unlink()
    assert len(SpeechCommands(str(folder)).load("test")) == 4
    with pytest.raises(
        FileNotFoundError, match=rf"^1 sound files do not exist: {folder}/no/0_nohash_0\.wav\. Expected"
    ):
        SpeechCommands(str(folder)).load("validation")


def test_classes_that_were_removed_are_passed_over(sounds: Trees, sound: Sound) -> None:
    folder = sounds("speech_commands")
    for seed in range(4):
        sound(folder / "wow" / f"{seed}_nohash_0.wav", seed=50 + seed)
    for name in ("validation_list.txt", "testing_list.txt"):
        with open(folder / name, "a") as file:
            file.write(f"wow/{0 if name[0] == 'v' else 1}_nohash_0.wav\n")
    shutil.rmtree(folder / "yes")
    dataset = SpeechCommands(str(folder))
    assert dataset.classes() == ("no", "wow")
    assert dataset.load("validation").labels.tolist() == [0, 0, 1]


def test_a_class_without_sounds_is_named(sounds: Trees) -> None:
    folder = sounds("speech_commands")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"the train split in {folder} holds no sound of empty\. Every class needs"):
        SpeechCommands(str(folder)).load("train")


def test_a_list_of_something_else_is_told(sounds: Trees) -> None:
    folder = sounds("speech_commands")
    (folder / "testing_list.txt").write_text("<html>")
    with pytest.raises(
        ValueError, match=r"testing_list\.txt is truncated or damaged \(it holds '<html>'\)\. Expected a"
    ):
        SpeechCommands(str(folder)).load("train")


# UrbanSound8K


@pytest.mark.parametrize(("location", "fold"), [("", 10), (",fold=3", 3), (",fold=10,32x16", 10)])
def test_one_fold_is_the_test_split(sounds: Trees, location: str, fold: int) -> None:
    dataset = UrbanSound8K.of(f"{sounds('urbansound8k')}{location}")
    train, test = dataset.load("train"), dataset.load("test")
    assert train.groups is not None
    assert test.groups is not None
    assert set(test.groups.tolist()) == {fold}
    assert sorted(set(train.groups.tolist())) == [k for k in range(1, 11) if k != fold]
    assert np.bincount(train.labels).tolist() == [9] * 10
    number = 10 * (fold - 1) + 4
    file = Path(str(dataset.found())) / "audio" / f"fold{fold}" / f"{number}-4-0-0.wav"
    shows(test, 4, file, dataset.make_front_end())


def test_folds_stay_whole_in_validation(sounds: Trees) -> None:
    data = training_data(UrbanSound8K.of(f"{sounds('urbansound8k')},32x16"), limit=None, validation=0.2, seed=0)
    assert data.train.groups is not None
    assert data.validation.groups is not None
    assert set(data.train.groups.tolist()).isdisjoint(data.validation.groups.tolist())
    assert len(data.validation) in (10, 20)
    assert len(data.train) + len(data.validation) == 90


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.wav,1,0,1,1,1,12,dog_bark", r"line 102 has classID 12, class dog_bark and fold 1"),
        (
            "a.wav,1,0,1,1,1,3,dogs",
            r"line 102 has classID 3, class dogs and fold 1\)\. Expected a table with slice_file_",
        ),
        ("a.wav,1,0,1,1,11,3,dog_bark", r"line 102 has classID 3, class dog_bark and fold 11"),
        ("a.wav,1,0,1,1,one,3,dog_bark", r"invalid literal"),
        ("a.wav,1,0", r"UrbanSound8K\.csv is truncated or damaged"),
    ],
)
def test_a_wrong_line_of_the_table_is_told(sounds: Trees, line: str, message: str) -> None:
    folder = sounds("urbansound8k")
    with open(folder / "metadata" / "UrbanSound8K.csv", "a") as file:
        file.write(f"{line}\n")
    with pytest.raises(ValueError, match=message):
        UrbanSound8K(str(folder)).load("train")


def test_a_sound_of_the_table_that_is_missing_is_named(sounds: Trees) -> None:
    folder = sounds("urbansound8k")
    shutil.rmtree(folder / "audio" / "fold2")
    with pytest.raises(
        FileNotFoundError, match=r"^10 sound files do not exist: .*/fold2/10-0-0-0\.wav, .* and 5 more\."
    ):
        UrbanSound8K(str(folder)).load("train")


@pytest.mark.parametrize("fold", ["0", "11"])
def test_a_fold_that_is_none_is_told(sounds: Trees, fold: str) -> None:
    with pytest.raises(ValueError, match=rf"urbansound8k has folds 1 to 10, got fold={fold}\."):
        UrbanSound8K.of(f"{sounds('urbansound8k')},fold={fold}").load("train")


# RAVDESS


@pytest.mark.parametrize(("location", "actors"), [("", [21]), (",actor=2", [2]), (",actor=1-3", [1, 2, 3])])
def test_some_actors_are_the_test_split(sounds: Trees, location: str, actors: list[int]) -> None:
    dataset = Ravdess.of(f"{sounds('ravdess')}{location}")
    train, test = dataset.load("train"), dataset.load("test")
    assert train.groups is not None
    assert test.groups is not None
    assert sorted(set(test.groups.tolist())) == actors
    assert sorted(set(train.groups.tolist())) == [k for k in (1, 2, 3, 4, 21) if k not in actors]
    assert test.labels.tolist() == list(range(8)) * len(actors)
    actor = f"{actors[0]:02}"
    shows(
        test,
        4,
        Path(str(dataset.found())) / f"Actor_{actor}" / f"03-01-05-01-01-01-{actor}.wav",
        dataset.make_front_end(),
    )


def test_actors_stay_whole_in_validation(sounds: Trees) -> None:
    data = training_data(Ravdess.of(f"{sounds('ravdess')},32x16"), limit=None, validation=0.25, seed=0)
    assert data.train.groups is not None
    assert data.validation.groups is not None
    assert set(data.train.groups.tolist()).isdisjoint(data.validation.groups.tolist())
    assert (len(data.train), len(data.validation)) == (24, 8)


def test_songs_are_passed_over_and_other_names_are_told(sounds: Trees, sound: Sound) -> None:
    folder = sounds("ravdess")
    sound(folder / "Actor_01" / "03-02-03-01-01-01-01.wav")
    assert len(Ravdess(str(folder)).load("train")) == 32
    sound(folder / "Actor_01" / "03-01-09-01-01-01-01.wav")
    message = r"03-01-09-01-01-01-01\.wav is not called 03-01-EE-II-SS-RR-AA\.wav with emotion EE from 01 to 08 and"
    with pytest.raises(ValueError, match=message):
        Ravdess(str(folder)).load("train")


@pytest.mark.parametrize("actor", ["0", "25", "4-3", "one"])
def test_an_actor_that_is_none_is_told(sounds: Trees, actor: str) -> None:
    with pytest.raises(ValueError, match=rf"ravdess has actors 1 to 24, got actor={actor}\. Expected actor=5 or"):
        Ravdess.of(f"{sounds('ravdess')},actor={actor}").load("train")


# Folders


def test_every_format_rate_and_number_of_channels_is_taken(tmp_path: Path, sound: Sound) -> None:
    for seed, (name, rate, channels) in enumerate(
        (("a/1.wav", 8_000, 1), ("a/2.flac", 16_000, 2), ("b/1.ogg", 22_050, 1), ("b/2.MP3", 44_100, 2))
    ):
        sound(tmp_path / "all" / name, seed=seed, seconds=1.5, rate=rate, channels=channels)
    (tmp_path / "all" / "a" / "notes.txt").write_text("loud")
    (tmp_path / "all" / ".hidden").mkdir()
    samples = AudioFolder(str(tmp_path / "all")).load("train")
    assert samples.labels.tolist() == [0, 0, 1, 1]
    assert samples.images.shape == (4, 1, 64, 128)
    loudest = np.asarray(samples.images).max((1, 2, 3))
    assert (loudest > 0.6).all()


def test_a_validation_folder_is_the_validation_split(sounds: Trees, sound: Sound) -> None:
    folder = sounds("audiofolder")
    assert not AudioFolder(str(folder)).own_validation
    for seed, name in enumerate(("rain", "wind")):
        sound(folder / "validation" / name / "a.wav", seed=90 + seed)
    dataset = AudioFolder(str(folder))
    assert dataset.own_validation
    data = training_data(dataset, limit=None, validation=0.5, seed=0)
    assert (len(data.train), len(data.validation)) == (8, 2)


def test_classes_alone_are_a_training_split(sounds: Trees) -> None:
    folder = sounds("audiofolder") / "train"
    assert len(AudioFolder(str(folder)).load("train")) == 8
    with pytest.raises(ValueError, match=rf"{folder} has no test split\. Expected DIR/CLASS/SOUND\.wav, or DIR/train"):
        AudioFolder(str(folder)).load("test")


def test_wrong_folders_are_told(sounds: Trees, sound: Sound) -> None:
    folder = sounds("audiofolder")
    with pytest.raises(FileNotFoundError, match=rf"{folder}/val does not exist, so there is no validation split"):
        AudioFolder(str(folder)).load("validation")
    sound(folder / "test" / "snow" / "a.wav")
    with pytest.raises(ValueError, match=rf"{folder}/test/snow is no class of the training split: rain, wind\."):
        AudioFolder(str(folder)).load("test")
    (folder / "train" / "snow").mkdir()
    with pytest.raises(ValueError, match=rf"the train split in {folder} holds no sound of snow\."):
        AudioFolder(str(folder)).load("train")
    for name in ("rain", "snow"):
        shutil.rmtree(folder / "train" / name)
    with pytest.raises(ValueError, match=rf"{folder}/train holds 1 class folders, at least 2 are needed\."):
        AudioFolder(str(folder)).load("train")


def test_folders_without_any_sound_are_told(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "all" / name).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=rf"the train split in {tmp_path}/all holds no sound files\. Expected"):
        AudioFolder(str(tmp_path / "all")).load("train")


def test_sounds_in_subfolders_and_what_is_left_out_are_said(sounds: Trees, sound: Sound) -> None:
    folder = sounds("audiofolder")
    before = len(AudioFolder(str(folder)).load("train"))
    sound(folder / "train" / "rain" / "2024" / "a.wav")
    for name in ("._a.wav", "b.m4a", ".hidden.wav"):
        (folder / "train" / "rain" / name).write_bytes(b"x")
    samples = AudioFolder(str(folder)).load("train")
    assert len(samples) == before + 1
    where, layout = repr(str(folder / "train")), "WAV, FLAC, OGG or MP3 file"
    assert samples.notes == (
        f"{where}: left out 1 that is no {layout} of a class (1 .m4a): 'rain/b.m4a'",
        f"{where}: took 1 files in subfolders of a class too: 'rain/2024/a.wav'",
    )


def test_the_splits_of_sounds_have_other_names_too(sounds: Trees) -> None:
    folder = sounds("audiofolder")
    expected = AudioFolder(str(folder)).load("test").images
    (folder / "train").rename(folder / "Training")
    (folder / "test").rename(folder / "Testing")
    assert np.array_equal(AudioFolder(str(folder)).load("test").images, expected)
    assert len(AudioFolder(str(folder)).load("train")) == 8


def test_messages_speak_of_sounds(sounds: Trees) -> None:
    folder = sounds("audiofolder")
    with pytest.raises(
        ValueError, match=r"2 sounds are divided .* class 'rain', the rarest, .* least data\.limit .* is 8"
    ):
        training_data(AudioFolder(str(folder)), limit=2, validation=0.2, seed=0)


@pytest.mark.parametrize(
    ("name", "place"),
    [("fsdd", "recordings"), ("ravdess", "Actor_01"), ("speech_commands", "yes"), ("audiofolder", "train/rain")],
)
def test_hidden_files_are_passed_over_in_every_kind_of_folder(name: str, place: str, sounds: Trees) -> None:
    folder = sounds(name)
    before = len(KINDS[name](str(folder)).load("train"))
    (there,) = [path for path in folder.rglob("*") if path.is_dir() and str(path).endswith(place)][:1]
    for file in list(there.glob("*.wav")):
        (there / f"._{file.name}").write_bytes(b"\0\5\x16\7")
    assert len(KINDS[name](str(folder)).load("train")) == before


@pytest.mark.parametrize(
    ("name", "table"), [("urbansound8k", "metadata/UrbanSound8K.csv"), ("speech_commands", "testing_list.txt")]
)
def test_tables_may_begin_with_a_byte_order_mark(name: str, table: str, sounds: Trees) -> None:
    folder = sounds(name)
    before = KINDS[name](str(folder)).load("test").labels
    content = (folder / table).read_bytes()
    (folder / table).write_bytes(b"\xef\xbb\xbf" + content)
    assert np.array_equal(KINDS[name](str(folder)).load("test").labels, before)


def test_lists_and_folders_are_compared_in_nfc(sounds: Trees, sound: Sound) -> None:
    folder = sounds("speech_commands")
    for number in range(2):
        sound(folder / "cafe\u0301" / f"a_nohash_{number}.wav")
    with open(folder / "testing_list.txt", "a", encoding="utf-8") as file:
        file.write("caf\u00e9/a_nohash_0.wav\n")
    label = SpeechCommands(str(folder)).classes().index("cafe\u0301")
    assert (SpeechCommands(str(folder)).load("test").labels == label).sum() == 1
    assert (SpeechCommands(str(folder)).load("train").labels == label).sum() == 1


def test_audiofolder_needs_a_folder() -> None:
    assert AudioFolder().found() is None
    with pytest.raises(FileNotFoundError, match=r"audiofolder needs a directory, as in audiofolder:my_sounds\."):
        AudioFolder().load("train")


# The cache


def entries(cache: Path) -> list[str]:
    return sorted(file.name for file in cache.iterdir())


def test_a_second_load_reads_no_sound_and_gives_the_same(sounds: Trees, cache: Path) -> None:
    folder = sounds("fsdd")
    first = Fsdd(str(folder)).load("train")
    written = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    for file in (folder / "recordings").iterdir():  # other content that looks unchanged
        status = file.stat()
        file.write_bytes(bytes(status.st_size))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = Fsdd(str(folder)).load("train")
    assert np.array_equal(first.images, again.images)
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == written


def test_a_changed_sound_is_read_again_and_the_older_array_is_removed(sounds: Trees, sound: Sound, cache: Path) -> None:
    folder = sounds("fsdd")
    before = np.array(Fsdd(str(folder)).load("train").images)
    old = entries(cache)
    file = sound(folder / "recordings" / "0_ann_5.wav", seed=1000)
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    after = Fsdd(str(folder)).load("train")
    assert np.flatnonzero((after.images != before).any((1, 2, 3))).tolist() == [1]  # after 0_ann_10
    assert len(entries(cache)) == len(old) == 1
    assert entries(cache) != old


def test_a_sound_more_is_seen(sounds: Trees, sound: Sound) -> None:
    folder = sounds("audiofolder")
    assert len(AudioFolder(str(folder)).load("train")) == 8
    sound(folder / "train" / "rain" / "more.wav", seed=70)
    assert len(AudioFolder(str(folder)).load("train")) == 9


def test_a_renamed_sound_is_seen(sounds: Trees) -> None:
    folder = sounds("fsdd")
    for file in (folder / "recordings").iterdir():
        os.utime(file, (0, 0))
    before = np.array(Fsdd(str(folder)).load("test").images)
    (folder / "recordings" / "0_ann_0.wav").rename(folder / "recordings" / "0_dee_0.wav")
    after = Fsdd(str(folder)).load("test").images
    np.testing.assert_allclose(after[:3], before[[1, 2, 0]], atol=1e-6)


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda content: b"not an array"])
def test_a_damaged_cache_is_made_again(sounds: Trees, cache: Path, damage: Callable[[bytes], bytes]) -> None:
    dataset = Fsdd(str(sounds("fsdd")))
    images = np.array(dataset.load("test").images)
    (file,) = cache.iterdir()
    file.unlink()
    file.write_bytes(damage(images.tobytes()))
    assert np.array_equal(dataset.load("test").images, images)
    assert np.array_equal(np.load(file), images)


def test_front_ends_and_folders_have_arrays_of_their_own(sounds: Trees, cache: Path) -> None:
    folder = sounds("fsdd")
    for location in (f"{folder}", f"{folder},32x16", f"{folder},rate=6000,32x16"):
        Fsdd.of(location).load("test")
    copy = Path(shutil.copytree(folder, folder.parent / "copy"))
    Fsdd(str(copy)).load("test")
    assert len(entries(cache)) == 4
    assert [re.sub(r"-\w{16}-\w{16}", "", name) for name in entries(cache)] == [
        "fsdd-test-6000-32x16.npy", "fsdd-test-8000-32x16.npy", "fsdd-test-8000-64x64.npy", "fsdd-test-8000-64x64.npy",
    ]  # fmt: skip


def test_another_test_fold_makes_nothing_anew(sounds: Trees, cache: Path) -> None:
    folder = sounds("urbansound8k")
    for split in ("train", "test"):
        UrbanSound8K.of(f"{folder},32x16").load(split)
    made = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert len(made) == 10
    for split in ("train", "test"):
        UrbanSound8K.of(f"{folder},fold=3,32x16").load(split)
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == made


def test_unreadable_sounds_leave_nothing_in_the_cache(sounds: Trees, cache: Path) -> None:
    folder = sounds("fsdd")
    (folder / "recordings" / "3_bob_5.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="cannot be read"):
        Fsdd(str(folder)).load("train")
    assert entries(cache) == []


def test_what_is_cached_needs_no_soundfile(sounds: Trees, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = Fsdd(str(sounds("fsdd")))
    dataset.load("train")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    assert len(dataset.load("train")) == 60
    with pytest.raises(ValueError, match=r"Install it: pip install 'mixing-nas\[audio\]'\."):
        dataset.load("test")


# The real digits


@pytest.fixture(scope="module")
def digits_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.fixture
def digits(nas_data: Path, digits_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Fsdd]:
    monkeypatch.setenv("NAS_CACHE", str(digits_cache))
    return lambda location: Fsdd.of(f"{nas_data}{location}")


def test_the_official_split_is_complete(digits: Callable[[str], Fsdd]) -> None:
    train, test = digits("").load("train"), digits("").load("test")
    assert np.bincount(train.labels).tolist() == [270] * 10
    assert np.bincount(test.labels).tolist() == [30] * 10
    data = training_data(digits(""), limit=None, validation=0.2, seed=0)
    assert data.input == (1, 64, 64)
    assert (round(data.mean[0], 2), round(data.std[0], 2)) == (0.25, 0.22)


def test_each_of_six_speakers_can_be_left_out(digits: Callable[[str], Fsdd]) -> None:
    for number, name in enumerate(("george", "jackson", "lucas", "nicolas", "theo", "yweweler")):
        dataset = digits(f",speaker={name},40x32")
        train, test = dataset.load("train"), dataset.load("test")
        assert (len(train), len(test)) == (2_500, 500)
        assert test.groups is not None
        assert set(test.groups.tolist()) == {number}


def test_a_recording_is_shown_as_it_is(digits: Callable[[str], Fsdd], nas_data: Path, tmp_path: Path) -> None:
    with tarfile.open(nas_data / "fsdd" / "recordings.tar.xz") as tar:
        tar.extract("recordings/0_george_0.wav", tmp_path, filter="data")
    file = tmp_path / "recordings" / "0_george_0.wav"
    assert soundfile.info(file).samplerate == 8_000
    shows(digits("").load("test"), 0, file, Fsdd.front_end)
