#![doc = include_str!("../README.md")]

pub mod audit;
pub mod database;
pub mod events;
pub mod inventory;
pub mod notification;
pub mod order;
pub mod payment;
pub mod sales;
pub mod settings;
pub mod shipping;

#[cfg(test)]
mod any_order;
#[cfg(test)]
mod choreography;
#[cfg(test)]
mod samples;
