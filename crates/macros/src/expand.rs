//! What the attributes make of a function.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, ItemFn, Path, Result, Signature, parse_quote};

use crate::options::Options;

/// How many workers a test has when it does not say.
const TEST_WORKERS: usize = 2;

/// Which attribute it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `#[filch::main]`
    Main,
    /// `#[filch::test]`
    Test,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "#[filch::main]",
            Self::Test => "#[filch::test]",
        }
    }
}

/// The function that takes the place of `item`; when something is wrong, the error beside it.
pub(crate) fn expand(kind: Kind, options: TokenStream, item: TokenStream) -> TokenStream {
    match try_expand(kind, options, item.clone()) {
        Ok(tokens) => tokens,
        Err(error) => {
            let error = error.into_compile_error();
            let item = harmless(item);
            quote! { #error #item }
        }
    }
}

/// `item` so that the compiler still looks at its body, and finds no second fault in what the
/// attribute should have taken care of: an `async fn main`, say.
fn harmless(item: TokenStream) -> TokenStream {
    match syn::parse2::<ItemFn>(item.clone()) {
        Ok(ItemFn { vis, sig, block, .. }) if sig.asyncness.is_some() => {
            let name = &sig.ident;
            quote! {
                #[allow(dead_code)]
                #vis fn #name() {
                    #sig #block
                }
            }
        }
        _ => item,
    }
}

fn try_expand(kind: Kind, options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    check(kind, &function)?;
    let options = Options::parse(kind, options)?;
    let filch = options.filch.clone().unwrap_or_else(|| parse_quote!(::filch));
    let workers = match (options.workers.clone(), kind) {
        (Some(workers), _) => Some(workers),
        (None, Kind::Test) => Some(parse_quote!(#TEST_WORKERS)),
        (None, Kind::Main) => None,
    };

    let ItemFn { attrs, vis, sig, block, .. } = &function;
    let name = &sig.ident;
    let output = &sig.output;
    let test = (kind == Kind::Test).then(|| quote! { #[::core::prelude::v1::test] });
    let run = match workers {
        None => quote! { #filch::run(#name()) },
        Some(workers) => {
            // Ctrl-C is for those who run the tests.
            let leave =
                (kind == Kind::Test).then(|| quote! { .interrupt(#filch::Interrupt::Leave) });
            let clock = options.virtual_time.then(|| quote! { .virtual_time(true) });
            let builder = quote! { #filch::Runtime::builder().workers(#workers) #leave #clock };
            match setup(&filch, &function, &options) {
                None => quote! { #builder.run_main(#name()) },
                Some(setup) => quote! { #setup.run(|| #builder, #name) },
            }
        }
    };
    // The inner function is the one that was written, signature and all: what it returns is then
    // known before its body is looked at, which an `async` block cannot offer.
    Ok(quote! {
        #test
        #(#attrs)*
        #vis fn #name() #output {
            #sig #block
            #run
        }
    })
}

/// What runs a test that asks for more than a runtime.
fn setup(filch: &Path, function: &ItemFn, options: &Options) -> Option<TokenStream> {
    let name = &function.sig.ident;
    let seed = options.seed.as_ref().map(|seed| quote! { .seed(#seed) });
    let timeout = options.timeout.map(|time| {
        let millis = time.as_millis() as u64;
        quote! { .timeout(::core::time::Duration::from_millis(#millis)) }
    });
    let leak_check = options.leak_check.then(|| quote! { .leak_check() });
    if seed.is_none() && timeout.is_none() && leak_check.is_none() {
        return None;
    }
    // It is run in another process, whose harness takes a panic for what is right. What a `cfg_attr` says is settled by now.
    let is_it = |attribute: &Attribute| attribute.path().is_ident("should_panic");
    let should_panic = options.leak_check && function.attrs.iter().any(is_it);
    let should_panic = should_panic.then(|| quote! { .should_panic() });
    let path = quote! { ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)) };
    Some(quote! { #filch::testing::Setup::new(#path) #seed #timeout #leak_check #should_panic })
}

/// Refuses what cannot become a plain function without arguments.
fn check(kind: Kind, function: &ItemFn) -> Result<()> {
    let Signature { asyncness, inputs, generics, ident, .. } = &function.sig;
    let name = kind.name();
    if asyncness.is_none() {
        let message = format!("{name} runs an `async fn`: write `async` before `fn`");
        return Err(syn::Error::new_spanned(&function.sig, message));
    }
    if let Some(argument) = inputs.first() {
        let message = format!("nobody could give `{ident}` an argument: {name} takes none");
        return Err(syn::Error::new_spanned(argument, message));
    }
    if !generics.params.is_empty() {
        let message = format!("nobody could choose what is generic here: {name} takes no generics");
        return Err(syn::Error::new_spanned(&generics.params, message));
    }
    if kind == Kind::Test
        && let Some(attribute) = function.attrs.iter().find(|attribute| is_test(attribute))
    {
        let message = "#[filch::test] adds `#[test]` itself: remove one of them";
        return Err(syn::Error::new_spanned(attribute, message));
    }
    Ok(())
}

fn is_test(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, options: TokenStream, item: TokenStream, expected: TokenStream) {
        assert_eq!(expand(kind, options, item).to_string(), expected.to_string());
    }

    #[test]
    fn main_without_options_is_run() {
        check(
            Kind::Main,
            quote! {},
            quote! { async fn main() -> Result<(), Error> { work().await?; Ok(()) } },
            quote! {
                fn main() -> Result<(), Error> {
                    async fn main() -> Result<(), Error> { work().await?; Ok(()) }
                    ::filch::run(main())
                }
            },
        );
    }

    #[test]
    fn options_go_through_the_builder() {
        check(
            Kind::Main,
            quote! { workers = cores() - 1, crate = my::filch, },
            quote! { #[allow(dead_code)] pub async fn main() {} },
            quote! {
                #[allow(dead_code)]
                pub fn main() {
                    async fn main() {}
                    my::filch::Runtime::builder().workers(cores() - 1).run_main(main())
                }
            },
        );
    }

    #[test]
    fn what_is_more_than_a_runtime_is_run_by_a_setup() {
        check(
            Kind::Test,
            quote! { virtual_time, seed = 7, timeout = "2min", leak_check },
            quote! { async fn it() {} },
            quote! {
                #[::core::prelude::v1::test]
                fn it() {
                    async fn it() {}
                    ::filch::testing::Setup::new(
                        ::core::concat!(::core::module_path!(), "::", ::core::stringify!(it))
                    )
                        .seed(7)
                        .timeout(::core::time::Duration::from_millis(120000u64))
                        .leak_check()
                        .run(
                            || ::filch::Runtime::builder()
                                .workers(2usize)
                                .interrupt(::filch::Interrupt::Leave)
                                .virtual_time(true),
                            it
                        )
                }
            },
        );
    }

    #[test]
    fn who_runs_a_test_elsewhere_knows_whether_it_should_panic() {
        let knows = |options: TokenStream, attribute: TokenStream| {
            let expanded = expand(Kind::Test, options, quote! { #attribute async fn it() {} });
            expanded.to_string().contains(". should_panic ()")
        };
        let leak_check = quote! { leak_check };
        assert!(!knows(leak_check.clone(), quote! {}));
        assert!(!knows(leak_check.clone(), quote! { #[ignore = "should_panic"] }));
        assert!(knows(leak_check.clone(), quote! { #[should_panic] }));
        assert!(knows(leak_check.clone(), quote! { #[should_panic = "boom"] }));
        assert!(knows(leak_check, quote! { #[should_panic(expected = "boom")] }));
        assert!(!knows(quote! { timeout = "1s" }, quote! { #[should_panic] }), "it is run here");
    }

    #[test]
    fn a_test_has_two_workers_and_keeps_its_attributes() {
        check(
            Kind::Test,
            quote! {},
            quote! { #[should_panic] async fn it() { panic!() } },
            quote! {
                #[::core::prelude::v1::test]
                #[should_panic]
                fn it() {
                    async fn it() { panic!() }
                    ::filch::Runtime::builder()
                        .workers(2usize)
                        .interrupt(::filch::Interrupt::Leave)
                        .run_main(it())
                }
            },
        );
    }
}
