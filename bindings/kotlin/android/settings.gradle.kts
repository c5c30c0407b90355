// Not run here: see build.gradle.kts.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
        // whimbrel-ffi, as `cargo xtask package` makes it.
        maven("../../../target/packages/maven")
    }
}

rootProject.name = "whimbrel-android"
