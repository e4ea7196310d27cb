"""Anybody's results in, the same with better points out."""

import json
import os
import threading

import cv2
import numpy as np
import pytest
from refine_helpers import OFF, POINTS, TRUTH, entry, found, write_images, write_model
from runtime_helpers import turned_jpeg

from keras_pose.errors import PoseError
from keras_pose.runtime import PictureFiles, PoseRefiner, load_image, picture_files, refine_results


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def refiner(model):
    return PoseRefiner(model)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def rewritten(refiner, images, tmp_path):
    """Refines the bytes of a file: the bytes that were written, the lines told, the counts."""

    def run(content, skeleton=None, pictures=None):
        results, out, told = tmp_path / "in.json", tmp_path / "out.json", []
        results.write_bytes(content)
        pictures = pictures or PictureFiles(images)
        counts = refine_results(refiner, results, out, pictures, skeleton, told.append)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["in.json", "out.json"]
        return out.read_bytes(), told, counts

    return run


@pytest.fixture
def refined(rewritten):
    """The same for a list of entries."""

    def run(given, *arguments):
        content, *more = rewritten(json.dumps(given).encode(), *arguments)
        return json.loads(content), *more

    return run


def test_points_become_better_and_nothing_else_changes(refined):
    """Order, ids, scores and every other field, known or not; whole numbers stay whole."""
    given = [
        entry(9, id=3, bbox=[1, 2.5, 3, 4], note={"keypoints": [1], "ö": None}),
        entry(7, score=0.1, track_id="ü"),
        entry(9, scores=(0, 2, 0.125), area=123456789012345678901234567890),
    ]
    written, told, counts = refined(given)
    assert (told, counts.entries, counts.refined) == ([], 3, 3) and counts.good
    for before, after in zip(given, written, strict=True):
        assert list(after) == list(before)
        same = [{k: v for k, v in one.items() if k != "keypoints"} for one in (before, after)]
        assert same[0] == same[1]
        assert after["keypoints"][2::3] == before["keypoints"][2::3]
        assert [type(v) for v in after["keypoints"][2::3]] == [
            type(v) for v in before["keypoints"][2::3]
        ]
        truth = TRUTH[before["image_id"]]
        assert np.abs(found(after)[:, :2] - truth).max() < 1.0
        assert np.abs(found(before)[:, :2] - truth).max() > 3.0


def test_a_refined_entry_is_the_same_bytes_but_for_its_points(rewritten):
    points = json.dumps(entry()["keypoints"])
    odd = '{ "a":1.50 , "n":"é\\u00e9",\n"keypoints":' + points + ',"image_id": 7,"score":1E-1 }'
    content, told, _ = rewritten(f"[{odd}]".encode())
    new = json.dumps(json.loads(content)[0]["keypoints"])
    assert told == [] and new != points
    assert content == f"[\n{odd.replace(points, new)}\n]\n".encode()


def test_it_says_what_the_python_call_says(refined, refiner, images):
    written, *_ = refined([entry()])
    image = load_image(images / "000000000007.png")
    expected = refiner(image, found(entry())[None])[0]
    np.testing.assert_allclose(found(written[0]), expected, atol=1e-3)


def test_what_a_pose_lacks_is_found_with_its_score_of_none(refined):
    points = POINTS + OFF
    points[1] = 0
    ((after,), told, _) = refined([entry(points=points, scores=(0.5, 0, 1))])
    assert told == [] and np.abs(found(after)[[0, 2], :2] - POINTS[[0, 2]]).max() < 1.0
    assert found(after)[1, 2] == 0


NONE = [[0, 0]] * 3
KEPT = {
    "a picture that is not there": (entry(5), "000000000005.jpg"),
    "a damaged picture": (entry(8), "decode"),
    "a picture without a name": (entry(image_id=[7]), "such name"),
    "a picture too long for a name": (entry("x" * 5000), "a file of its picture"),
    "fewer points": (entry(keypoints=[1, 2, 1]), "9 numbers"),
    "more points": (entry(keypoints=[1.5] * 12), "9 numbers"),
    "points in pairs": (entry(keypoints=[[1, 2, 3]] * 3), "9 numbers"),
    "points as text": (entry(keypoints=["1"] * 9), "9 values that are not all numbers"),
    "a point that is null": (entry(keypoints=[None] * 9), "9 numbers"),
    "NaN": (entry(scores=(0.5, float("nan"), 1)), "finite numbers"),
    "infinity": (entry(points=[[float("inf"), 1], [2, 3], [4, 5]]), "finite numbers"),
    "all zero": (entry(points=NONE, scores=(0, 0, 0)), "the model knows"),
    "outside the picture": (entry(points=POINTS + 5000), "inside its picture"),
    "beyond all numbers": (entry(points=POINTS * [[1e39], [1], [1]]), "inside its picture"),
    "no key points": (entry(keypoints=...), "image_id and keypoints"),
    "no picture": (entry(image_id=...), "image_id and keypoints"),
    "a list": ([1, 2], "a result with keys"),
}


@pytest.mark.parametrize("kind", KEPT)
def test_what_cannot_be_refined_is_told_and_stays(refined, kind):
    """By its number and its byte; good entries around it are refined."""
    strange, why = KEPT[kind]
    given = [entry(), strange, entry(9)]
    written, told, counts = refined(given)
    assert json.dumps(written[1]) == json.dumps(strange)
    for one in (written[0], written[2]):
        assert np.abs(found(one)[:, :2] - TRUTH[one["image_id"]]).max() < 1.0
    assert (counts.entries, counts.refined) == (3, 2) and counts.good
    (line,) = told
    assert line.startswith(f"entry 1 at byte {len(json.dumps(given[:1])) + 1}") and why in line
    assert line.endswith("written as it was")
    said = str(counts)
    assert said.startswith(
        "3 entries, 2 refined, 1 written as they were\n1 x as they were, without"
    )
    assert said.endswith("(first: entry 1)")


@pytest.mark.parametrize("value", [b"9" * 5000, b'"\xff"'], ids=["long", "latin"])
def test_what_python_cannot_read_stays_byte_by_byte(rewritten, value):
    good, points = json.dumps(entry()).encode(), json.dumps(entry()["keypoints"]).encode()
    odd = b'{ "image_id":7,"keypoints" : %s, "x":%s}' % (points, value)
    content, told, counts = rewritten(b"[" + odd + b"," + good + b"]")
    assert content.startswith(b"[\n" + odd + b",\n{") and counts.refined == 1
    assert told[0].startswith("entry 0 at byte 1: expected an entry as JSON") and len(told) == 1


STRANGE = {
    "all scores are 0": entry(scores=(0, 0, 0)),
    "all key points lie in one place": entry(points=[POINTS[0]] * 3),
    "its bbox has no area": entry(bbox=[10, 20, 0, 30]),
    "its score is no finite number": entry(score=float("nan")),
}


@pytest.mark.parametrize("why", STRANGE)
def test_what_is_strange_is_refined_and_told(refined, why):
    given = STRANGE[why]
    (written,), told, counts = refined([given])
    assert told == [f"entry 0 at byte 1: picture 7, refined, though {why}"]
    assert counts.refined == 1 and f"1 x refined, though {why} (first: entry 0)" in str(counts)
    assert written["keypoints"] != given["keypoints"]
    without = [{**one, "keypoints": 0} for one in (written, given)]
    assert json.dumps(without[0]) == json.dumps(without[1])


def test_one_point_alone_and_boxes_of_other_kinds_are_told(refined):
    given = [entry(points=[[60, 60], [0, 0], [0, 0]], scores=(1, 0, 0))]
    given += [entry(bbox=bad) for bad in ([1, 2, 3], "box", [1, 2, 3, float("inf")], 5)]
    _, told, counts = refined(given + [entry(bbox=None), entry(bbox=[])])
    assert counts.refined == 7 and counts.noted == {
        "all key points lie in one place": [1, 0],
        "its bbox has no area": [4, 1],
    }
    assert len(told) == 5


@pytest.mark.parametrize(("end", "whole_ones"), [(-1, 3), (-3, 2), (-40, 2), (-150, 1), (-350, 0)])
def test_a_file_that_is_cut_is_refined_until_there(rewritten, end, whole_ones):
    whole = json.dumps([entry(), entry(9), entry()]).encode()
    content, told, counts = rewritten(whole[:end])
    written = json.loads(content)
    assert len(written) == counts.refined == whole_ones and not counts.good
    for one in written:
        assert np.abs(found(one)[:, :2] - TRUTH[one["image_id"]]).max() < 1.0
    assert f"byte {len(whole) + end}" in told[0] or "begins at byte" in told[0]
    assert "cut or damaged" in told[0] and counts.damage in str(counts)


def test_an_empty_list_is_fine_and_what_is_none_leaves_nothing(refined, refiner, images, tmp_path):
    written, told, counts = refined([])
    assert (written, told) == ([], []) and counts.good
    (tmp_path / "in.json").write_text("{}")
    (tmp_path / "out.json").unlink()
    with pytest.raises(PoseError, match="a list of results"):
        refine_results(refiner, tmp_path / "in.json", tmp_path / "out.json", PictureFiles(images))
    assert [p.name for p in tmp_path.iterdir()] == ["in.json"]


@pytest.mark.parametrize("named", ["mine", "coco17", ["x", "y", "z"]])
def test_results_of_a_skeleton_without_common_names_are_refused(refined, named):
    named = {"name": "n", "keypoints": named} if isinstance(named, list) else named
    with pytest.raises(PoseError, match="Expected"):
        refined([], named)


def test_key_points_go_by_their_names(refined):
    """In another order, with a point that the model does not know, and without one that it does."""
    names = "right_hand, tail, head"
    given = entry(points=np.stack([POINTS[2] + 5, [3, 4], POINTS[0] + 5]), scores=(1, 0.5, 0))
    (written,), told, _ = refined([given], names)
    assert told == []
    assert np.abs(found(written)[[0, 2], :2] - POINTS[[2, 0]]).max() < 1.0
    assert written["keypoints"][3:6] == [3, 4, 0.5]
    given = entry(points=[[0, 0], [3, 4], [0, 0]], scores=(0, 0.5, 0))
    (written,), (line,), _ = refined([given], names)
    assert written == given and "key points that the model knows" in line


def test_a_picture_is_decoded_once_while_its_entries_follow(refined, images, monkeypatch):
    seen = []
    monkeypatch.setattr(
        picture_files, "load_image", lambda path, **k: seen.append(path) or load_image(path, **k)
    )
    order = [7, 7, 9, 7, 9, 8, 8, 7]
    _, told, counts = refined([entry(picture) for picture in order])
    assert len(seen) == 3 and len(told) == 2 and counts.refined == 6


def test_few_pictures_are_kept(images, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(picture_files, "load_image", lambda path, **_: seen.append(path) or path)
    for picture in range(9):
        (tmp_path / f"{picture}.jpg").touch()
    files = PictureFiles(tmp_path)
    for picture in [*range(9), *range(5, 9), 0]:
        assert files(picture) == str(tmp_path / f"{picture}.jpg")
    assert len(seen) == 10 and len(files._held) == 4


@pytest.mark.parametrize(
    ("picture", "name"),
    [(7, "000000000007.jpg"), (7, "7.png"), (7.0, "7.jpg"), ("a b", "a b.webp"), ("é.png", "é.png"),
     ("sub/x", "sub/x.jpg"), (-1, "-1.jpg")],
    ids=str,
)  # fmt: skip
def test_a_file_is_called_like_its_id(tmp_path, picture, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    cv2.imwrite(str(tmp_path / name), np.zeros((3, 5, 3), np.uint8))
    if cv2.haveImageWriter(name):
        assert PictureFiles(tmp_path)(picture).shape == (3, 5, 3)


@pytest.mark.parametrize("picture", [None, True, 7.5, float("nan"), {}, "", "\0", "..", 10**400])
def test_strange_ids_have_no_file(tmp_path, picture):
    (tmp_path / "1.jpg").touch()
    with pytest.raises(PoseError, match="a file of its picture"):
        PictureFiles(tmp_path)(picture)


def test_annotations_say_which_file_an_id_is(tmp_path, images):
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps({"images": [{"id": 3, "file_name": "000000000009.png"}]}))
    files = PictureFiles(images, path)
    assert np.array_equal(files(3), load_image(images / "000000000009.png"))
    for picture in (9, [3], None):
        with pytest.raises(PoseError, match="that the annotations have"):
            files(picture)
    for content in ("[]", '{"images": [{"id": 3}]}', '{"images": 4}', "{"):
        path.write_text(content)
        with pytest.raises(PoseError, match=r"annotations\.json"):
            PictureFiles(images, path)
    with pytest.raises(PoseError, match="a folder of pictures"):
        PictureFiles(images / "none")


def test_pictures_are_turned_only_when_asked(tmp_path):
    (tmp_path / "1.jpg").write_bytes(turned_jpeg(np.full((40, 60, 3), 127, np.uint8)))
    assert PictureFiles(tmp_path)(1).shape == (40, 60, 3)
    assert PictureFiles(tmp_path, orient=True)(1).shape == (60, 40, 3)


def test_the_results_are_never_overwritten(refiner, images, tmp_path):
    results = tmp_path / "in.json"
    text = json.dumps([entry()])
    results.write_text(text)
    (tmp_path / "link.json").symlink_to(results)
    os.link(results, tmp_path / "new.json.part")
    for out in (results, tmp_path / "link.json", tmp_path / "new.json", tmp_path, "/dev/null"):
        with pytest.raises(PoseError, match="to write"):
            refine_results(refiner, results, out, PictureFiles(images))
        assert results.read_text() == text
    for given, out in ((tmp_path / "no.json", "o.json"), (results, "no/o.json")):
        with pytest.raises(PoseError, match="Check the paths"):
            refine_results(refiner, given, tmp_path / out, PictureFiles(images))


def test_an_old_file_stays_until_the_new_one_is_whole(refiner, images, tmp_path):
    results, out = tmp_path / "in.json", tmp_path / "out.json"
    results.write_text(json.dumps([entry(), entry()]))
    out.write_text("old")

    def pictures(picture):
        assert out.read_text() == "old"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        refine_results(refiner, results, out, pictures)
    assert out.read_text() == "old" and len(list(tmp_path.iterdir())) == 2  # nothing to keep
    os.link(out, tmp_path / "kept")
    refine_results(refiner, results, out, PictureFiles(images))
    assert len(json.loads(out.read_text())) == 2
    assert (tmp_path / "kept").read_text() == "old"  # another file took its name, in one go


def test_what_was_refined_before_it_was_stopped_is_kept(refiner, images, tmp_path):
    results, out, told = tmp_path / "in.json", tmp_path / "out.json", []
    results.write_text(json.dumps([entry(), entry(9), entry(), entry()]))
    files, asked = PictureFiles(images), []

    def pictures(picture):
        asked.append(picture)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return files(picture)

    with pytest.raises(KeyboardInterrupt):
        refine_results(refiner, results, out, pictures, tell=told.append)
    written = json.loads((tmp_path / "out.json.part").read_text())
    assert [one["image_id"] for one in written] == [7, 9] and not out.exists()
    assert np.abs(found(written[1])[:, :2] - TRUTH[9]).max() < 1.0
    assert told == [f"stopped: the first 2 entries are in {tmp_path / 'out.json.part'}"]
    refine_results(refiner, results, out, files)  # begins again, and leaves nothing behind
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.json", "out.json"]


def test_results_may_come_out_of_a_pipe(refiner, images, tmp_path):
    pipe, out, shares = tmp_path / "pipe", tmp_path / "out.json", []
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(json.dumps([entry(), entry(9)]),))
    writer.start()
    refine_results(refiner, pipe, out, PictureFiles(images), seen=shares.append)
    writer.join()
    assert [one["image_id"] for one in json.loads(out.read_text())] == [7, 9] and not shares


def test_the_share_that_is_done_is_told(refiner, images, tmp_path):
    results, shares = tmp_path / "in.json", []
    given = [entry(), entry(5), entry(9)]
    results.write_text(json.dumps(given))
    refine_results(
        refiner, results, tmp_path / "out.json", PictureFiles(images), tell=str, seen=shares.append
    )
    ends = [len(json.dumps(given[:n])) - 1 for n in (1, 2, 3)]
    np.testing.assert_allclose(shares, np.array(ends) / len(json.dumps(given)))
