//! What stands in the parentheses of the attributes.

use crate::expand::Kind;
use proc_macro2::TokenStream;
use std::time::Duration;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Token};

/// The options that were given.
pub(crate) struct Options {
    /// How many workers, if it was said.
    pub(crate) workers: Option<Expr>,
    /// Where filch is, if it was said.
    pub(crate) filch: Option<Path>,
    /// The clock is a virtual one. This and what follows is for tests.
    pub(crate) virtual_time: bool,
    /// A seed, or a range of them.
    pub(crate) seed: Option<Expr>,
    /// How long it may take.
    pub(crate) timeout: Option<Duration>,
    /// It is to leave nothing behind.
    pub(crate) leak_check: bool,
}

impl Options {
    /// Reads what stands in the parentheses of an attribute of this kind.
    pub(crate) fn parse(kind: Kind, options: TokenStream) -> Result<Self> {
        (|input: ParseStream<'_>| Self::parse_all(kind, input)).parse2(options)
    }

    fn parse_all(kind: Kind, input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self {
            workers: None,
            filch: None,
            virtual_time: false,
            seed: None,
            timeout: None,
            leak_check: false,
        };
        let mut given: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            // `crate` is a keyword, so any word is taken here.
            let name = input.call(Ident::parse_any)?;
            if given.contains(&name) {
                return Err(syn::Error::new(name.span(), format!("`{name}` is given twice")));
            }
            let value = |input: ParseStream<'_>| input.parse::<Token![=]>();
            match (name.to_string().as_str(), kind) {
                ("workers", _) => {
                    value(input)?;
                    options.workers = Some(workers(input.parse()?)?);
                }
                ("crate", _) => {
                    value(input)?;
                    options.filch = Some(input.call(Path::parse_mod_style)?);
                }
                ("virtual_time", Kind::Test) => options.virtual_time = true,
                ("leak_check", Kind::Test) => options.leak_check = true,
                ("seed", Kind::Test) => {
                    value(input)?;
                    options.seed = Some(input.parse()?);
                }
                ("timeout", Kind::Test) => {
                    value(input)?;
                    options.timeout = Some(timeout(&input.parse()?)?);
                }
                _ => {
                    let there_are = match kind {
                        Kind::Main => "`workers = N` and `crate = PATH`",
                        Kind::Test => {
                            "`workers = N`, `virtual_time`, `seed = N`, `timeout = \"5s\"`, \
                             `leak_check` and `crate = PATH`"
                        }
                    };
                    let message = format!("no option is named `{name}`: there are {there_are}");
                    return Err(syn::Error::new(name.span(), message));
                }
            }
            given.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        if let (Some(_), Some(workers)) = (&options.seed, &options.workers)
            && !is_one(workers)
        {
            let message =
                "a seed is for one worker: with more, the system has a say in the order of tasks";
            return Err(syn::Error::new_spanned(workers, message));
        }
        Ok(options)
    }
}

/// Whether that is the number 1, written out.
fn is_one(value: &Expr) -> bool {
    matches!(value, Expr::Lit(ExprLit { lit: Lit::Int(number), .. })
        if number.base10_parse::<usize>().is_ok_and(|number| number == 1))
}

/// A number and a unit: `"5s"`, `"100ms"`.
fn timeout(value: &LitStr) -> Result<Duration> {
    let text = value.value();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "min" => Some(60_000),
        _ => None,
    };
    let time = number.parse().ok().zip(unit).and_then(|(number, unit): (u64, u64)| {
        let millis = number.checked_mul(unit)?;
        (millis > 0).then(|| Duration::from_millis(millis))
    });
    time.ok_or_else(|| {
        let message = "a time is a number and `ms`, `s` or `min`: `timeout = \"5s\"`";
        syn::Error::new_spanned(value, message)
    })
}

/// A number that is written out is checked here, where the message can point at it.
fn workers(value: Expr) -> Result<Expr> {
    if let Expr::Lit(ExprLit { lit, .. }) = &value {
        let Lit::Int(number) = lit else {
            return Err(syn::Error::new_spanned(lit, "`workers` takes a number"));
        };
        if number.base10_parse::<usize>()? == 0 {
            let message = "a runtime has at least 1 worker: the thread that runs it";
            return Err(syn::Error::new_spanned(lit, message));
        }
    }
    Ok(value)
}
