#!/bin/sh
# A certificate authority for one cluster, a server's certificate and an administrator's, the key for service
# accounts, and a kubeconfig.   pki.sh FOLDER
set -eu
cd "$1"
mkdir -p pki
cd pki
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 30 -subj /CN=cluster-ca \
  -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null

# sign <name> <subject> <extensions>
sign() {
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  printf '%s\n' "$3" >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
}
sign server /CN=kube-apiserver 'subjectAltName=IP:127.0.0.1,IP:10.41.5.1,IP:10.96.0.1,DNS:localhost,DNS:kubernetes.default.svc
extendedKeyUsage=serverAuth'
sign admin /O=system:masters/CN=admin 'extendedKeyUsage=clientAuth'
sign front /CN=front 'extendedKeyUsage=clientAuth'
openssl genrsa -out sa.key 2048 2>/dev/null
openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
cat >../kubeconfig <<K
apiVersion: v1
kind: Config
clusters: [{ name: test, cluster: { server: "https://127.0.0.1:41510", certificate-authority: $PWD/ca.crt } }]
users: [{ name: admin, user: { client-certificate: $PWD/admin.crt, client-key: $PWD/admin.key } }]
contexts: [{ name: test, context: { cluster: test, user: admin } }]
current-context: test
K
