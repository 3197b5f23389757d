"""Which networks are there to be trained? Residual ones: `from trainables.models import resnet50vd`."""

from trainables.models.resnet import ResNet, resnet50vd, shakedrop110, shakeshake26, small_resnet_vd

__all__ = ["ResNet", "resnet50vd", "shakedrop110", "shakeshake26", "small_resnet_vd"]
