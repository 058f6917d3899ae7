//! One binary: the command line as its users call it, the data folder as other
//! processes find it, and the life that `simulate` plays.

#![allow(clippy::unwrap_used)]

mod backup;
mod copy;
mod data_folder;
mod faults;
mod house;
mod inside;
mod kill;
mod life;
mod load;
mod lost;
mod settings;
mod soak;
mod street;
mod town;
mod up;
mod usage;
mod verdict;
