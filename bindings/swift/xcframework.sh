#!/bin/sh
# A Swift package with the library in it, for iOS and macOS: Whimbrel.xcframework and the sources, ready to be tagged.
#
# NOT RUN HERE: where this was written there is no Xcode. Its shell is checked by shellcheck, the Rust by `cargo xtask phones`.
#
#   bindings/swift/xcframework.sh [DIR]       DIR is made anew; target/packages/swift if not said
#
# Needs Xcode, and: rustup target add aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
out=${1:-$target/packages/swift}
library=libwhimbrel_ffi.a

cd "$root"
rm -rf "$out"
mkdir -p "$out/Sources" "$out/headers" "$out/sim" "$out/mac"

export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0
for triple in aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin; do
    # CommonCrypto in the place of OpenSSL.
    cargo build --profile phone -p whimbrel-ffi --no-default-features --target "$triple"
done

# What is generated is read out of a library of this machine, which is the same for all.
cargo build -p whimbrel-ffi --no-default-features
cargo run -q -p bindgen -- swift "$target/debug/libwhimbrel_ffi.dylib" bindings/ffi "$out/Sources/WhimbrelFFI"
mv "$out/Sources/WhimbrelFFI/CWhimbrel.h" "$out/headers/"
mv "$out/Sources/WhimbrelFFI/CWhimbrel.modulemap" "$out/headers/module.modulemap"

# One library a platform, with all of its processors.
lipo -create "$target/aarch64-apple-ios-sim/phone/$library" "$target/x86_64-apple-ios/phone/$library" -output "$out/sim/$library"
lipo -create "$target/aarch64-apple-darwin/phone/$library" "$target/x86_64-apple-darwin/phone/$library" -output "$out/mac/$library"
xcodebuild -create-xcframework \
    -library "$target/aarch64-apple-ios/phone/$library" -headers "$out/headers" \
    -library "$out/sim/$library" -headers "$out/headers" \
    -library "$out/mac/$library" -headers "$out/headers" \
    -output "$out/CWhimbrel.xcframework"
rm -rf "$out/headers" "$out/sim" "$out/mac"

cp -R "$here/Sources/Whimbrel" "$out/Sources/"
cp "$here/Package.binary.swift" "$out/Package.swift"
cp "$here/README.md" "$root/LICENSE" "$root/bindings/THIRD_PARTY.md" "$out/"

# For a package that fetches the library instead: .binaryTarget(name:url:checksum:).
(cd "$out" && ditto -c -k --keepParent CWhimbrel.xcframework CWhimbrel.xcframework.zip)
swift package compute-checksum "$out/CWhimbrel.xcframework.zip" > "$out/CWhimbrel.xcframework.zip.checksum"
echo "$out"
