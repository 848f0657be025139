#!/bin/sh
# Makes the files here from the npm packages of these versions (NOTICE names them too).
set -eu
swagger=5.35.0
redoc=2.5.4
katex=0.19.1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "swagger-ui-dist@$swagger" "redoc@$redoc" "katex@$katex"
mkdir swagger redoc katex
tar -xzf "swagger-ui-dist-$swagger.tgz" -C swagger
tar -xzf "redoc-$redoc.tgz" -C redoc
tar -xzf "katex-$katex.tgz" -C katex
for file in swagger-ui-bundle.js swagger-ui.css; do
  gzip -9nc "swagger/package/$file" > "$here/$file.gz"
done
# ReDoc shows its maker's logo from the internet: nothing here loads anything from there.
sed 's#https://cdn.redoc.ly/redoc/logo-mini.svg#data:,#g' redoc/package/bundles/redoc.standalone.js |
  gzip -9nc > "$here/redoc.standalone.js.gz"
cp swagger/package/swagger-ui-bundle.js.LICENSE.txt redoc/package/bundles/redoc.standalone.js.LICENSE.txt "$here"
gzip -9nc katex/package/dist/katex.min.js > "$here/katex.min.js.gz"
cp katex/package/LICENSE "$here/katex.min.js.LICENSE.txt"
