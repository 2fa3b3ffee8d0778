#!/bin/sh
# install.sh BUILD SOURCE: what `cmake --install` leaves is enough to run the command, and to build against with pkg-config and CMake.
set -e
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cmake --install "$1" --prefix "$place/usr" >/dev/null
"$place/usr/bin/cryodeco" --version
cat >"$place/main.c" <<'C'
#include <cryodeco.h>
#include <stdio.h>
int main(void) { return printf("%s\n", deco_version()) < 0; }
C
pc=$(find "$place/usr" -name cryodeco.pc)
cc "$place/main.c" -o "$place/by_pkgconfig" $(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs cryodeco) -Wl,-rpath,"$(dirname "$(dirname "$pc")")"
"$place/by_pkgconfig"
mkdir "$place/project"
cat >"$place/project/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(user C)
find_package(cryodeco REQUIRED)
add_executable(user ../main.c)
target_link_libraries(user PRIVATE cryodeco::cryodeco)
CMAKE
cmake -G Ninja -S "$place/project" -B "$place/project/build" -DCMAKE_PREFIX_PATH="$place/usr" >/dev/null
cmake --build "$place/project/build" >/dev/null
"$place/project/build/user"
for file in share/cryodeco/blueprints/2026-01.yaml share/doc/cryodeco/LICENSE; do
    [ -e "$place/usr/$file" ] || { echo "$file is not installed"; exit 1; }
done
