"""From a trained network to the bytes of a self-describing `.tflite`."""

from keras_pose import metadata
from keras_pose.errors import PoseError
from keras_pose.export import calibrate, formats

PIXELS = {"float": "float32", "uint8": "uint8"}


def to_tflite(
    network, precision="fp32", io="float", output="decoded", calibration=None, **about
) -> bytes:
    """A `.tflite` with its metadata inside: pixels in, key points out.

    network: PoseNetwork. precision: see keras_pose.export.FORMATS. io: the input is "float"
    (float32) or "uint8", RGB 0..255 either way. output: "decoded", signature outputs `keypoints`
    (1, K, 2) float32 normalised and `scores` (1, K) float32, or "heads", the one
    float32 tensor that the codec decodes (`heatmaps` (1, h, w, K), `coordinates` (1, K, 4)).
    calibration: uint8 patches (H, W, 3) for int8 and int16x8 (keras_pose.export.patches); for a
    network that refines poses pairs of a patch and a pose (K, 3), as it reads them.
    about: fields of keras_pose.metadata.Metadata that are to differ from the network's notes, as
    metrics={...}. The same network gives the same bytes.
    Raises PoseError for an unknown choice, for calibration that is missing or of another size, and
    for a network that TFLite cannot express.
    """
    chosen = formats.get(precision)
    formats.one_of("an input", io, formats.INPUTS)
    formats.one_of("an output", output, formats.OUTPUTS)
    if chosen.calibrated:
        if calibration is None:
            raise PoseError(f"pictures to calibrate {precision}", "none", calibrate.ADVICE)
        calibration = calibrate.checked(calibration, network)
    model = _written(network, chosen, io, output, calibration)
    return metadata.attach(model, describe(network, precision, io, output, **about))


def _written(network, chosen, io, output, calibration):
    from keras_pose.export import convert, quantize  # slow to import

    model = convert.to_float(network, output, PIXELS[io])
    match chosen.name:
        case "fp16":
            return quantize.half(model)
        case "dynamic":
            return quantize.dynamic(model)
        case "int8":
            return quantize.static(model, 8, calibration, network.floats)
        case "int16x8":
            return quantize.static(model, 16, calibration, network.floats)
    return model


def describe(network, precision, io, output, **about) -> metadata.Metadata:
    """The metadata of an export; what training noted of the network goes into it."""
    notes = network.notes
    known = {
        "crop_margin": notes.pop("crop_margin", 1.25),
        "grown": notes.pop("grown", metadata.GROWN),
        "threshold": notes.pop("threshold", 0.3),
        "metrics": notes.pop("validation", {}),
        "training": notes,
    }
    return metadata.Metadata(
        skeleton=network.skeleton,
        codec=network.codec,
        output=output,
        precision=precision,
        input_type=PIXELS[io],
        model=network.builder,
        reads=("image", *network.extra_inputs),
        **{**known, **about},
    )
