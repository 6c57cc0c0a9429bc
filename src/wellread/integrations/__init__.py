"""Other libraries' interfaces over a module: a file for each library, named as it is, that alone imports it.

from wellread.integrations.langchain import WellreadEmbeddings
"""
