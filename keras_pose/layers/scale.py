"""One trainable number."""

import keras


@keras.saving.register_keras_serializable(package="keras_pose")
class Scale(keras.layers.Layer):
    """Multiplies its input by one trainable scalar: the lambda of RePose's equation 2.

    initial: where the scalar starts.
    """

    def __init__(self, initial=0.1, **kwargs):
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape):
        start = keras.initializers.Constant(self.initial)
        self.scale = self.add_weight(name="scale", shape=(), initializer=start)

    def call(self, inputs):
        return inputs * self.scale

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "initial": self.initial}
