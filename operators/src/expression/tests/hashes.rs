//! Hashes: vectors of RFC 1321 (MD5) and FIPS 180 (SHA-2).

use super::*;

fn hash(name: &str, of: &str) -> Expr {
    call(name, vec![text(of)])
}

#[test]
fn md5_is_that_of_rfc_1321() {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    check(&[
        (hash("md5", ""), "d41d8cd98f00b204e9800998ecf8427e"),
        (hash("md5", "a"), "0cc175b9c0f1b6a831c399e269772661"),
        (hash("md5", "abc"), "900150983cd24fb0d6963f7d28e17f72"),
        (hash("md5", "message digest"), "f96b697d7cb7938d525a2f31aaf161d0"),
        (hash("md5", "abcdefghijklmnopqrstuvwxyz"), "c3fcd3d76192e4007dfb496cca67e13b"),
        (hash("md5", letters), "d174ab98d277d9f5a5611c2c9f419d9f"),
        (hash("md5", &"1234567890".repeat(8)), "57edf4a22be3c955ac49da2e2107b67a"),
        (call("md5", vec![null(DataType::Utf8)]), "NULL"),
    ]);
}

#[test]
fn sha_2_is_that_of_fips_180() {
    let two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    check(&[
        (hash("sha224", "abc"), "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        (hash("sha256", ""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (hash("sha256", "abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (hash("sha256", two_blocks), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"),
        (
            hash("sha384", "abc"),
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
        ),
        (
            hash("sha512", "abc"),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (call("sha256", vec![null(DataType::Utf8)]), "NULL"),
    ]);
}

#[test]
fn unix_seconds_of_texts() {
    let seconds = |args: &[&str]| call("unix_timestamp", args.iter().map(|a| text(a)).collect());
    check(&[
        (seconds(&["1970-01-01 00:00:00"]), "0"),
        (seconds(&["2001-09-09 01:46:40"]), "1000000000"),
        (seconds(&["2009-02-13 23:31:30"]), "1234567890"),
        (seconds(&["2038-01-19 03:14:08"]), "2147483648"),
        (seconds(&["1969-12-31 23:59:59"]), "-1"),
        (seconds(&["13.02.2009 23:31", "dd.MM.yyyy HH:mm"]), "1234567860"),
        (seconds(&["2009-02-13 23:31:30.999", "yyyy-MM-dd HH:mm:ss.SSS"]), "1234567890"),
        (seconds(&["yesterday"]), "NULL"),
        (call("unix_timestamp", vec![null(DataType::Utf8)]), "NULL"),
    ]);
}
