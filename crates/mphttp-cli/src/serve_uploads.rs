//! The options of `mphttp serve` that let clients write.

use std::path::Path;

use clap::Args;
use mphttp::uploads::Uploads;

use crate::{error_reporting::Failure, exit::Exit};

/// Whether, and how, uploads are taken.
#[derive(Args, Debug)]
pub struct UploadArgs {
    /// Take uploads into the directory: from a form on its listings, by curl -F and -T (PUT), and by tus for those that
    /// can be resumed. WHOEVER REACHES THE PORT CAN THEN WRITE FILES THERE, or whoever has a password of --auth or
    /// --auth-file. Without this nobody can.
    #[arg(long)]
    upload: bool,
    /// Take no file that is longer, in bytes; 10M, 2G (powers of 1000) and 2Gi (of 1024) are understood [default: what
    /// the disk has room for].
    #[arg(long, value_name = "SIZE", requires = "upload", value_parser = size)]
    max_upload: Option<u64>,
    /// Let uploads replace files; without this they are refused where there is one.
    #[arg(long, requires = "upload")]
    overwrite: bool,
}

impl UploadArgs {
    /// The handler, if there is to be one.
    pub fn handler(&self, directory: &Path) -> anyhow::Result<Option<Uploads>> {
        if !self.upload {
            return Ok(None);
        }
        let uploads = Uploads::new(directory).map_err(|error| {
            let hint = "name a directory that exists and that you may write to, or leave --upload away";
            Failure::new(Exit::Write, error.to_string()).hint(hint)
        })?;
        let uploads = uploads.overwrite(self.overwrite);
        Ok(Some(match self.max_upload {
            Some(limit) => uploads.max_size(limit),
            None => uploads,
        }))
    }
}

/// A number of bytes, with a unit or without.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim_end_matches(['B', 'b']).to_ascii_lowercase();
    let (base, unit) = match unit.strip_suffix('i') {
        Some(unit) => (1024_u64, unit),
        None => (1000, unit.as_str()),
    };
    let power = ["", "k", "m", "g", "t"].iter().position(|known| *known == unit);
    let factor = power.and_then(|power| base.checked_pow(u32::try_from(power).ok()?));
    match (digits.parse::<u64>().ok(), factor) {
        (Some(number), Some(factor)) if number > 0 => {
            number.checked_mul(factor).ok_or_else(|| "that is too much".to_owned())
        }
        _ => Err("give a number of bytes, such as 500M or 2Gi".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("1", 1), ("500M", 500_000_000), ("2Gi", 2 << 30), ("3kB", 3000), ("1TiB", 1 << 40)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "M", "1X", "-1", "1.5G", "i", "99999999999T"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
