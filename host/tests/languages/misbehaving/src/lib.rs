//! A program that does what programs should not: its first argument says what.

use pagebox::pager::pager::{self, Access, Durability, Pager};
use pagebox::pager::stores;

mod views;

wit_bindgen::generate!({ world: "application", path: "wit" });

struct Program;

export!(Program);

impl Guest for Program {
    fn run(args: Vec<String>) -> Result<(), String> {
        let what = args.first().map_or("", String::as_str);
        match what {
            "trap-in-transaction" => {
                let pager = open();
                let tx = pager.begin().unwrap();
                let page = tx.alloc_protected(1).unwrap()[0];
                let _ = tx.alloc(100).unwrap();
                tx.stage(page).unwrap().write(0, b"never seen").unwrap();
                core::arch::wasm32::unreachable()
            }
            "trap-after-commit" => {
                let _pager = committed();
                core::arch::wasm32::unreachable()
            }
            "exit-after-commit" => {
                let _pager = committed();
                std::process::exit(7)
            }
            "commit-twice" => {
                drop(committed());
                drop(committed());
                Ok(())
            }
            "spin-after-commit" => {
                let _pager = committed();
                spin()
            }
            "wait-after-commit" => {
                let _pager = committed();
                let mut line = String::new();
                std::io::stdin().read_line(&mut line).unwrap();
                Ok(())
            }
            "spin" => spin(),
            "hog" => {
                let mut held: Vec<Vec<u8>> = Vec::new();
                loop {
                    held.push(vec![1; 1 << 20]);
                }
            }
            "leak" => {
                let pager = open();
                let tx = pager.begin().unwrap();
                let page = tx.alloc_protected(1).unwrap()[0];
                core::mem::forget(tx.stage(page).unwrap());
                core::mem::forget(pager);
                Ok(())
            }
            "take-twice" => {
                let _first = stores::take("data").unwrap();
                match stores::take("data") {
                    Err(stores::GrantError::Taken(text)) => Err(text),
                    other => panic!("{other:?}"),
                }
            }
            "take-again" => {
                drop(stores::take("data").unwrap());
                drop(open());
                println!("{}", stores::names().join(","));
                Ok(())
            }
            "write-read-only" => match open_as(Access::Read).begin() {
                Err(error) => Err(pager::describe(error)),
                Ok(_) => panic!("it can be written"),
            },
            "open-read-only-to-write" => {
                let pager = open();
                let tx = pager.begin().unwrap();
                tx.alloc(1).unwrap();
                pager::commit(tx, Durability::Durable)
                    .map(|_| ())
                    .map_err(|error| pager::describe(error))
            }
            "look-around" => {
                println!("folders {}", std::fs::read_dir("/").is_ok());
                println!("variables {}", std::env::vars().count());
                println!(
                    "network {}",
                    std::net::TcpStream::connect("127.0.0.1:9").is_ok_and(|_| true)
                );
                let refused = std::net::TcpListener::bind("127.0.0.1:0").is_err();
                println!("listening {}", !refused);
                Ok(())
            }
            "view" => {
                println!("{}", views::outcome(&args[1]));
                Ok(())
            }
            "exit" => std::process::exit(0),
            "exit-with-code" => std::process::exit(7),
            _ => Err(format!("{what:?} is not known")),
        }
    }
}

fn spin() -> ! {
    loop {
        core::hint::black_box(0);
    }
}

/// After a commit.
fn committed() -> Pager {
    let pager = open();
    let tx = pager.begin().unwrap();
    let page = tx.alloc_protected(1).unwrap()[0];
    tx.stage(page).unwrap().write(0, b"committed").unwrap();
    pager::commit(tx, Durability::Durable).unwrap();
    pager
}

fn open() -> Pager {
    open_as(Access::Write)
}

fn open_as(access: Access) -> Pager {
    pager::open(stores::take("data").unwrap(), access).unwrap()
}
