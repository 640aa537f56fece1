//! The pager.
#![no_std]
