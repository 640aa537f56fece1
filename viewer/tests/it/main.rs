//! The viewer as its users and their enemies meet it: routes in process, raw
//! sockets, the program itself, a browser.
#![expect(clippy::unwrap_used, reason = "a test says enough by where it stops")]

mod browser;
mod crash;
mod decoders;
mod desktop;
mod edges;
mod facts;
mod fake;
mod files;
mod format_1;
mod hostile;
mod live;
mod other_format;
mod program;
mod recent;
mod routes;
mod scale;
mod security;
mod server;
mod time;
