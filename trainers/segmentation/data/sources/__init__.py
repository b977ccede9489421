"""Where images and masks come from: folders and COCO files, recognised, and which colour is which class."""
