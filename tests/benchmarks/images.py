"""What do the benchmarks of recipes train? A few real images."""

from trainables.tasks.cifar10 import Cifar10, ResNet


class FewImages(Cifar10):
    """CIFAR-10, as few images as two cores train in minutes, of all classes alike, and a ResNet of half the width."""

    def data(self):
        return tuple((images[::every][:most], labels[::every][:most]) for (images, labels), every, most in self._halves())

    def _halves(self):
        train, valid = super().data()
        return (train, 12, 4_000), (valid, 10, 1_000)

    def model(self):
        return ResNet(self.classes, width=8)
