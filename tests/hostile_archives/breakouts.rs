//! Layers that try to leave their root.
