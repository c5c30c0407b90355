// swift-tools-version: 6.0
// What `cargo xtask bench` starts in Swift. A package of its own: apps that build the other need none of it, nor a library with what
// benchmarks look through.
import PackageDescription

let package = Package(
    name: "Bench",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../..")],
    targets: [
        .systemLibrary(name: "CPlain"),
        .executableTarget(name: "Listen", dependencies: ["CPlain", .product(name: "Whimbrel", package: "swift")]),
        .executableTarget(name: "WakeUp", dependencies: [.product(name: "Whimbrel", package: "swift")]),
    ],
    swiftLanguageModes: [.v6]
)
