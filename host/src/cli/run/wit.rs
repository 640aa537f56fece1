//! What a program imports besides its pager, generated from the WIT.

wasmtime::component::bindgen!({
    inline: "
        package pagebox:run;
        world program {
            import pagebox:pager/stores@0.2.0;
            export run: func(args: list<string>) -> result<_, string>;
        }
    ",
    path: "wit",
    imports: { default: trappable },
    with: { "pagebox:pager/page-store": ::pagebox::wit::pagebox::pager::page_store },
});
