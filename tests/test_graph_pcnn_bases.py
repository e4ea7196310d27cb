"""Graph-PCNN on bases of other kinds than SimpleBaseline: what all networks must do."""

from test_graph_pcnn import TINY, GraphChecks


class BaseChecks(GraphChecks):
    """Without what is no different behind another base than it is behind SimpleBaseline."""

    test_mixed_precision_gives_float32_predictions_of_the_same_network = None
    test_the_criterion_stays_behind = None
    test_a_training_step_on_jax_without_tensorflow = None
    test_int8_tflite_stays_close = None


class TestBehindRePoseLite(BaseChecks):
    arguments = {  # noqa: RUF012
        **TINY, "base": "RePoseLite", "base_arguments": {
            "loss": "mse", "sigma": 5.0, "stem": 8, "channels": [8, 8], "blocks": [0, 0],
            "keypoint_channels": 4,
        },
    }  # fmt: skip
    outputs = {"pre": (4, 4, 3), "post": (4, 4, 3), "heatmaps": (8, 8, 3), "points": (3, 3)}  # noqa: RUF012


class TestBehindHRNet(BaseChecks):
    arguments = {  # noqa: RUF012
        **TINY, "base": "HRNet", "base_arguments": {
            "width": 4, "modules": [1, 1, 1], "blocks": 1, "bottlenecks": 1, "sigma": 5.0,
        },
    }  # fmt: skip
    outputs = {"heatmaps": (8, 8, 3), "points": (3, 3)}  # noqa: RUF012


class TestBehindRePose(BaseChecks):
    arguments = {  # noqa: RUF012
        **TINY, "base": "RePose", "base_arguments": {
            "coarsest": 16, "update_blocks": 1, "channels": 8, "keypoint_channels": 4, "depth": 1,
            "sigma": 2.0,
        },
    }  # fmt: skip
    outputs = {  # noqa: RUF012
        "pre": (16, 16, 3), "post": (16, 16, 3), "heatmaps": (32, 32, 3), "points": (3, 3)
    }  # fmt: skip
    head = "up0_heatmaps"
