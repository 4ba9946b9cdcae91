#!/bin/sh
# Installs one of AWS's runtime clients: install.sh python|node|java TOOL FOLDER, where TOOL is the interpreter or Maven
# Does nothing when it is there already. Needs a package registry the first time.
set -eu
kind=$1 tool=$2 folder=$3
[ -f "$folder/.complete" ] && exit 0
rm -rf "$folder"
mkdir -p "$folder"
case $kind in
python)
    # Wheels only: the client is partly native, and a build from source takes minutes.
    "$tool" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15 \
        --only-binary :all: --target "$folder" awslambdaric
    ;;
node)
    # Without its install scripts, which build a native HTTP client; client.cjs stands in for that.
    npm install --silent --ignore-scripts --fetch-retries 1 --fetch-timeout 15000 --no-save --prefix "$folder" aws-lambda-ric@3
    ;;
java)
    cat >"$folder/pom.xml" <<'END'
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dayfly</groupId><artifactId>reference</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>com.amazonaws</groupId><artifactId>aws-lambda-java-runtime-interface-client</artifactId>
      <version>2.9.0</version>
    </dependency>
  </dependencies>
</project>
END
    "$tool" --batch-mode --quiet --file "$folder/pom.xml" dependency:copy-dependencies -DoutputDirectory="$folder/lib"
    ;;
esac
touch "$folder/.complete"
