//! The secret that opens a viewer to whoever was given it.

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
};

use subtle::ConstantTimeEq;

/// A secret of 128 bits, and a link that hands it out once.
///
/// It is neither printed by `Debug` nor in any address but that link's.
pub struct Token {
    secret: String,
    link: String,
    spent: AtomicBool,
    cookie_name: String,
}

impl Token {
    /// A token of random bits.
    ///
    /// # Errors
    /// Where the system has no random bits to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self::new(hex_128()?, hex_128()?, &hex_128()?))
    }

    /// A token that was agreed on elsewhere.
    ///
    /// # Errors
    /// A text where the secret has fewer than 32 characters or any that a
    /// header cannot carry, or where there are no random bits for the link.
    pub fn agreed(secret: &str) -> Result<Self, String> {
        if secret.len() < 32 || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err("a token needs at least 32 letters or digits".to_owned());
        }
        let random = || hex_128().map_err(|error| error.to_string());
        Ok(Self::new(secret.to_owned(), random()?, &random()?))
    }

    fn new(secret: String, link: String, name: &str) -> Self {
        // Cookies are shared by all ports of a host: viewers beside each
        // other need names of their own.
        let cookie_name = format!("pagebox-{}", name.get(..8).unwrap_or(name));
        Self {
            secret,
            link,
            spent: AtomicBool::new(false),
            cookie_name,
        }
    }

    /// The path of the one-time link.
    pub fn entrance(&self) -> String {
        format!("/enter/{}", self.link)
    }

    /// The secret, for `Authorization: Bearer`.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn cookie_name(&self) -> &str {
        &self.cookie_name
    }

    /// Not `Strict`: the link is followed from a terminal or a file, and the
    /// cookie must survive the redirect that follows. Other sites can only
    /// make the browser show a page, which they cannot read.
    pub(crate) fn set_cookie(&self) -> String {
        format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax",
            self.cookie_name, self.secret
        )
    }

    pub(crate) fn agrees(&self, secret: &str) -> bool {
        same(&self.secret, secret)
    }

    /// Whether this is the link's code, presented for the first time.
    pub(crate) fn spend(&self, code: &str) -> bool {
        same(&self.link, code) && !self.spent.swap(true, Ordering::SeqCst)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Whether two texts are the same. How long that takes says nothing of where
/// they differ.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// 128 random bits, as text.
pub(crate) fn hex_128() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_link_works_once() -> Result<(), getrandom::Error> {
        let token = Token::random()?;
        let link = token.entrance();
        let code = link.trim_start_matches("/enter/");
        assert_eq!(code.len(), 32);
        assert!(!token.spend("0"));
        assert!(token.spend(code));
        assert!(!token.spend(code));
        Ok(())
    }

    #[test]
    fn token_is_random_and_not_in_debug_output() -> Result<(), getrandom::Error> {
        let (one, two) = (Token::random()?, Token::random()?);
        assert_ne!(one.secret(), two.secret());
        assert!(!format!("{one:?}").contains(one.secret()));
        Ok(())
    }

    #[test]
    fn token_that_is_short_is_refused() {
        assert!(Token::agreed("secret").is_err());
        assert!(Token::agreed(&"a".repeat(32)).is_ok());
    }
}
