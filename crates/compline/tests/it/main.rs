//! One binary: the command line as its users call it, the data folder as other
//! processes find it, and the life that `simulate` plays.

#![allow(clippy::unwrap_used)]

mod copy;
mod data_folder;
mod house;
mod inside;
mod kill;
mod life;
mod settings;
mod street;
mod up;
mod usage;
