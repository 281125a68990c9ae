//! What stands in the parentheses of the attributes.

use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, ExprLit, Ident, Lit, Path, Result, Token};

/// The options that were given.
pub(crate) struct Options {
    /// How many workers, if it was said.
    pub(crate) workers: Option<Expr>,
    /// Where filch is, if it was said.
    pub(crate) filch: Option<Path>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut options = Self { workers: None, filch: None };
        while !input.is_empty() {
            // `crate` is a keyword, so any word is taken here.
            let name = input.call(Ident::parse_any)?;
            let fault = |message: &str| Err(syn::Error::new(name.span(), message));
            if name == "workers" {
                if options.workers.is_some() {
                    return fault("`workers` is given twice");
                }
                input.parse::<Token![=]>()?;
                options.workers = Some(workers(input.parse()?)?);
            } else if name == "crate" {
                if options.filch.is_some() {
                    return fault("`crate` is given twice");
                }
                input.parse::<Token![=]>()?;
                options.filch = Some(input.call(Path::parse_mod_style)?);
            } else {
                return fault(&format!(
                    "no option is named `{name}`: there are `workers = N` and `crate = PATH`"
                ));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
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
