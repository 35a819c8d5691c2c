//! The life of execution environments on this node.
