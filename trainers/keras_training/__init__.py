"""What the trainers of tf_keras models share: optimizers, averages, statistics, saved variables, graphs, devices."""
