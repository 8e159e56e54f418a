"""Models at work: columns in, columns out, and the formats in which columns come and go. Knows no store.

The only home of numpy, pandas, pyarrow, polars and onnxruntime, which the extras `inference` and `validations` install. They are imported
at the first need (`libraries`), because every task run pays for what it imports.
"""
