//! compline-projector
