from pathlib import Path
from typing import Any

import pytest
from test_augmentations import REQUIRED
from test_schedules import SCHEDULES
from zoo_variables import published_config

from trainers import model as models
from trainers import recipe
from trainers.augmentations import Augmentation
from trainers.augmentations.table import AUGMENTATIONS
from trainers.object_detection_api import compat, pipeline_config
from trainers.object_detection_api.detector import Detector, detector
from trainers.object_detection_api.detectors.faster_rcnn import FasterRCNNRecipe
from trainers.recipe import Recipe

NAMES = [name for name, model in models.all_models().items() if isinstance(model, Detector)]
TWO_STAGE = [name for name in NAMES if issubclass(models.get(name).recipe, FasterRCNNRecipe)]
ONE_STAGE = [name for name in NAMES if name not in TWO_STAGE]
OPERATION = {
    "min_object_covered": 0.1,
    "min_aspect_ratio": 0.5,
    "max_aspect_ratio": 2.0,
    "min_area": 0.3,
    "max_area": 1.0,
    "overlap_thresh": 0.2,
    "random_coef": 0.15,
}
PADDED = {"min_padded_size_ratio": [1.0, 1.0], "max_padded_size_ratio": [2.0, 2.0]}
# every option of an augmentation given, where its defaults leave some out
FULL = {
    **REQUIRED,
    "random_distort_color": {"color_ordering": 1},
    "random_pad_image": {
        "min_image_height": 40,
        "min_image_width": 50,
        "max_image_height": 90,
        "max_image_width": 100,
        "pad_color": [1, 2, 3],
    },
    "random_absolute_pad_image": {"max_height_padding": 5, "max_width_padding": 7, "pad_color": [1, 2, 3]},
    "random_crop_pad_image": PADDED | {"pad_color": [0, 0, 0]},
    "ssd_random_crop": {"operations": [OPERATION, OPERATION]},
    "ssd_random_crop_pad": {
        "operations": [OPERATION | PADDED | {"pad_color_r": 9, "pad_color_g": 8, "pad_color_b": 7}]
    },
    "ssd_random_crop_fixed_aspect_ratio": {
        "operations": [{key: value for key, value in OPERATION.items() if "aspect" not in key}]
    },
    "ssd_random_crop_pad_fixed_aspect_ratio": PADDED | {"operations": [OPERATION]},
    "random_horizontal_flip": {"keypoint_flip_permutation": [1, 0]},
    "random_vertical_flip": {"keypoint_flip_permutation": [1, 0]},
    "random_rotation90": {"keypoint_rot_permutation": [1, 0]},
}
AS_TRAINED = {
    "model": "mobilenet",
    "image_size": 192,
    "batch_size": 6,
    "steps": 200,
    "optimizer": {"kind": "momentum", "momentum": 0.8},
    "schedule": {"kind": "cosine", "base": 0.04, "warmup_rate": 0.01, "warmup": 0.1},
    "augmentations": [
        {"name": "random_horizontal_flip"},
        {"name": "random_rgb_to_gray", "options": {"probability": 0.3}},
    ],
}


def whole(of: Recipe, checkpoint: str | None = None) -> Any:
    return pipeline_config.pipeline_proto(
        of,
        ["vehicle", "pedestrian", "cyclist"],
        train_files=[Path("/data/train-0.tfrecord"), Path("/data/train-1.tfrecord")],
        validation_files=[Path("/data/validation.tfrecord")],
        label_map=Path("/data/label_map.pbtxt"),
        checkpoint=checkpoint,
    )


def read_by_the_api(config: Any, folder: Path) -> dict[str, Any]:
    compat.install()
    from object_detection.utils import config_util

    (folder / "pipeline.config").write_text(pipeline_config.render(config))
    configs: dict[str, Any] = config_util.get_configs_from_pipeline_file(str(folder / "pipeline.config"))
    return configs


@pytest.mark.parametrize("name", [name for name in NAMES if detector(name).zoo_archive])
def test_a_model_for_90_classes_at_640_px_is_the_published_one(name: str):
    from google.protobuf import text_format
    from object_detection.protos import pipeline_pb2

    published = text_format.Parse(published_config(name), pipeline_pb2.TrainEvalPipelineConfig()).model
    made = recipe.build({"model": name, **models.get(name).presets["zoo"]})
    assert pipeline_config.model_proto(made, 90) == published


@pytest.mark.parametrize("name", TWO_STAGE)
def test_what_a_recipe_says_of_both_stages_is_in_it(name: str):
    made = recipe.build(AS_TRAINED | {"model": name, "image_size": 384}).replace(
        l2=0.01, classification_weight=2, localization_weight=0.5, proposal_weight=3, anchor_size=96, proposals=80,
        sampled_proposals=20, crop_size=10, proposal_iou=0.8, detection_iou=0.45,
    )  # fmt: skip
    model = pipeline_config.model_proto(made, 3).faster_rcnn
    assert (model.num_classes, model.image_resizer.keep_aspect_ratio_resizer.max_dimension) == (3, 384)
    anchors = model.first_stage_anchor_generator.grid_anchor_generator
    assert (anchors.height, anchors.width) == (96, 96)
    assert (model.first_stage_max_proposals, model.second_stage_batch_size) == (80, 20)
    assert (model.initial_crop_size, model.maxpool_kernel_size, model.maxpool_stride) == (10, 2, 2)
    suppression = model.second_stage_post_processing.batch_non_max_suppression
    assert (model.first_stage_nms_iou_threshold, suppression.iou_threshold) == pytest.approx((0.8, 0.45))
    # the published weights are 1 of classes and 2 of boxes in either stage
    assert (model.first_stage_objectness_loss_weight, model.first_stage_localization_loss_weight) == (3, 6)
    assert model.second_stage_classification_loss_weight == 2
    assert model.second_stage_localization_loss_weight == 1
    predictor = model.second_stage_box_predictor.mask_rcnn_box_predictor
    for layers in (model.first_stage_box_predictor_conv_hyperparams, predictor.fc_hyperparams):
        assert layers.regularizer.l2_regularizer.weight == pytest.approx(0.01)


@pytest.mark.parametrize("name", ONE_STAGE)
def test_what_a_recipe_says_of_the_model_is_in_it(name: str):
    own = models.get(name).recipe.model_fields.keys() - recipe.Recipe.model_fields.keys()
    fields = {field: value for field, value in models.get(name).presets["laptop"].items() if field in own}
    made = recipe.build(fields | AS_TRAINED | {"model": name, "image_size": 384}).replace(
        l2=0.01, batch_norm_decay=0.75, classification_weight=2, localization_weight=0.5
    )
    ssd = pipeline_config.model_proto(made, 3).ssd
    assert ssd.num_classes == 3
    resizer = getattr(ssd.image_resizer, ssd.image_resizer.WhichOneof("image_resizer_oneof"))
    assert {value for field, value in resizer.ListFields() if field.type == field.TYPE_INT32} == {384}
    assert (ssd.loss.classification_weight, ssd.loss.localization_weight) == (2, 0.5)
    predictor = ssd.box_predictor.weight_shared_convolutional_box_predictor
    for layers in (ssd.feature_extractor.conv_hyperparams, predictor.conv_hyperparams):
        assert layers.batch_norm.decay == 0.75
        assert layers.regularizer.l2_regularizer.weight == pytest.approx(0.01)


@pytest.mark.slow
def test_the_apis_reader_finds_all_that_a_recipe_says(tmp_path: Path):
    made = recipe.build(AS_TRAINED).replace(
        averaging=0.99, gradient_clip=10, weights={"source": "zoo", "part": "classification"}
    )
    configs = read_by_the_api(whole(made, checkpoint="/zoo/ckpt-0"), tmp_path)
    train = configs["train_config"]
    assert (train.batch_size, train.num_steps, train.gradient_clipping_by_norm) == (6, 200, 10)
    assert (train.max_number_of_boxes, train.unpad_groundtruth_tensors) == (100, False)
    assert (train.fine_tune_checkpoint, train.fine_tune_checkpoint_type) == ("/zoo/ckpt-0", "classification")
    assert train.fine_tune_checkpoint_version == 2
    assert train.optimizer.use_moving_average
    assert train.optimizer.moving_average_decay == pytest.approx(0.99)
    rate = train.optimizer.momentum_optimizer.learning_rate.cosine_decay_learning_rate
    assert (rate.total_steps, rate.warmup_steps, rate.hold_base_rate_steps) == (200, 20, 0)
    names = [step.WhichOneof("preprocessing_step") for step in train.data_augmentation_options]
    assert names == ["random_horizontal_flip", "random_rgb_to_gray"]

    reader = configs["train_input_config"]
    assert reader.label_map_path == "/data/label_map.pbtxt"
    assert list(reader.tf_record_input_reader.input_path) == [
        "/data/train-0.tfrecord",
        "/data/train-1.tfrecord",
    ]
    validation = configs["eval_input_config"]
    assert list(validation.tf_record_input_reader.input_path) == ["/data/validation.tfrecord"]
    assert (validation.shuffle, validation.num_epochs) == (False, 1)
    assert list(configs["eval_config"].metrics_set) == ["coco_detection_metrics"]
    assert configs["eval_config"].num_visualizations == 0
    assert configs["eval_config"].use_moving_averages
    assert configs["model"].ssd.num_classes == 3


def test_what_a_recipe_does_not_ask_for_is_off_though_the_api_has_it_on(tmp_path: Path):
    train = read_by_the_api(whole(recipe.build(AS_TRAINED)), tmp_path)["train_config"]
    assert not train.optimizer.use_moving_average
    assert train.optimizer.HasField("use_moving_average")
    assert train.gradient_clipping_by_norm == 0
    assert train.fine_tune_checkpoint == ""


@pytest.mark.parametrize(("source", "checkpoint"), [("none", "/zoo/ckpt-0"), ("zoo", None)])
def test_weights_and_checkpoint_that_contradict_each_other_are_refused(source: str, checkpoint: str | None):
    with pytest.raises(ValueError, match="but the checkpoint given is"):
        whole(recipe.build(AS_TRAINED | {"weights": {"source": source}}), checkpoint)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    "optimizer",
    [
        {"kind": "momentum", "momentum": 0.7},
        {"kind": "adam", "epsilon": 0.01},
        {"kind": "rms_prop", "momentum": 0.6, "decay": 0.8, "epsilon": 0.5},
    ],
)
def test_every_optimizer_and_schedule_reads_back_as_stated(
    optimizer: dict[str, Any], schedule: str, tmp_path: Path
):
    made = recipe.build(AS_TRAINED | {"optimizer": optimizer, "schedule": SCHEDULES[schedule]})
    stated = read_by_the_api(whole(made), tmp_path)["train_config"].optimizer
    kind = getattr(stated, stated.WhichOneof("optimizer"))
    assert stated.WhichOneof("optimizer") == f"{optimizer['kind']}_optimizer"
    in_proto = {"momentum": "momentum_optimizer_value"}
    for name, value in optimizer.items():
        if name != "kind":
            assert getattr(kind, in_proto.get(name, name)) == pytest.approx(value)
    assert kind.learning_rate.WhichOneof("learning_rate").startswith(SCHEDULES[schedule]["kind"])


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_the_apis_own_builder_makes_the_optimizer(kind: str):
    compat.install()
    import tensorflow as tf
    from object_detection.builders import optimizer_builder

    made = recipe.build(AS_TRAINED | {"optimizer": {"kind": kind}, "averaging": 0.9})
    step = tf.Variable(40, dtype=tf.int64)
    optimizer, rates = optimizer_builder.build(whole(made).train_config.optimizer, global_step=step)
    assert type(optimizer).__name__ == "ExponentialMovingAverage"
    assert float(rates[0]()) == pytest.approx(made.learning_rate(40))


@pytest.mark.parametrize("options", ["its defaults", "all its options"])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_apis_builder_takes_every_augmentation(name: str, options: str):
    compat.install()
    from object_detection.builders import preprocessor_builder

    given = (REQUIRED if options == "its defaults" else FULL).get(name, {})
    augmentation = Augmentation(name=name, options=given)
    if options == "all its options":
        assert set(augmentation.options) == set(AUGMENTATIONS[name])
    step = pipeline_config.augmentation_proto(augmentation)
    assert step.WhichOneof("preprocessing_step") == name
    function, arguments = preprocessor_builder.build(step)
    assert function.__name__ == name
    assert all(value is not None for value in arguments.values()) or options == "its defaults"
